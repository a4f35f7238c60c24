// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.model.checkpoint.Family;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;
import java.util.Set;

/** Names as trainers write them, and the layers of the shipped templates that they mean. */
class LoraNameTest {
    private static final Set<String> STORED =
            Set.of(
                    "conditioner.embedders.0.transformer.text_model.encoder.layers.11.mlp.fc2.weight",
                    "conditioner.embedders.1.model.transformer.resblocks.31.mlp.c_proj.weight");

    @ParameterizedTest
    @CsvSource({
        // kohya, SD 1.x
        "SD1, lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight,"
            + " DOWN, down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "SD1, lora_unet_mid_block_attentions_0_proj_in.alpha, ALPHA,"
                + " mid_block.attentions.0.proj_in",
        "SD1, lora_unet_down_blocks_0_resnets_1_conv2.lora_mid.weight, MID,"
                + " down_blocks.0.resnets.1.conv2",
        "SD1, lora_te_text_model_encoder_layers_11_mlp_fc1.lora_up.weight, UP,"
                + " encoder.layers.11.mlp.fc1",
        // a trainer that writes the network's name twice
        "SD1, lora_unet_unet_up_blocks_3_attentions_0_transformer_blocks_0_attn2_to_q_lora_up.weight,"
            + " UP, up_blocks.3.attentions.0.transformer_blocks.0.attn2.to_q",
        // SDXL by kohya: the single file's names, also outside of blocks
        "SDXL, lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight, DOWN,"
                + " down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        "SDXL, lora_unet_input_blocks_0_0.lora_down.weight, DOWN, conv_in",
        "SDXL, lora_unet_time_embed_0.lora_down.weight, DOWN, time_embedding.linear_1",
        "SDXL, lora_unet_label_emb_0_2.lora_down.weight, DOWN, add_embedding.linear_2",
        "SDXL, lora_unet_out_2.lora_down.weight, DOWN, conv_out",
        "SDXL, lora_unet_middle_block_2_in_layers_2.lora_down.weight, DOWN,"
                + " mid_block.resnets.1.conv1",
        "SDXL, lora_unet_output_blocks_2_2_conv.lora_down.weight, DOWN,"
                + " up_blocks.0.upsamplers.0.conv",
        "SDXL, lora_unet_input_blocks_3_0_op.lora_down.weight, DOWN,"
                + " down_blocks.0.downsamplers.0.conv",
        "SDXL, lora_te1_text_model_encoder_layers_0_self_attn_q_proj.dora_scale, DORA_SCALE,"
                + " encoder.layers.0.self_attn.q_proj",
        // behind the layer whose state SDXL takes
        "SDXL, lora_te1_text_model_encoder_layers_11_mlp_fc2.lora_up.weight, UP,"
                + " encoder.layers.11.mlp.fc2",
        "SDXL, lora_te2_text_model_encoder_layers_31_mlp_fc2.hada_w1_a, HADA_W1_A,"
                + " text_model.encoder.layers.31.mlp.fc2",
        // diffusers and PEFT
        "SD1, unet.conv_in.lora_A.weight, DOWN, conv_in",
        "SD1, unet.conv_in.lora_B.default.weight, UP, conv_in",
        "SD1, unet.conv_in.lora.down.weight, DOWN, conv_in",
        "SD1, unet.conv_in.alpha, ALPHA, conv_in",
        "SD1, unet.mid_block.attentions.0.proj_in.lora_magnitude_vector.default.weight, MAGNITUDE,"
                + " mid_block.attentions.0.proj_in",
        "SDXL, text_encoder_2.text_model.encoder.layers.0.self_attn.out_proj.lora_B.weight, UP,"
                + " text_model.encoder.layers.0.self_attn.out_proj",
        "SD1, base_model.model.mid_block.attentions.0.proj_in.lora_A.weight, DOWN,"
                + " mid_block.attentions.0.proj_in",
        "SD1, base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.weight, DOWN,"
                + " encoder.layers.0.mlp.fc1",
        "SD1, mid_block.attentions.0.proj_in.lora_A.weight, DOWN, mid_block.attentions.0.proj_in",
        // older diffusers
        "SD1, down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight,"
            + " DOWN, down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "SD1, text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight, DOWN,"
                + " encoder.layers.0.self_attn.q_proj",
        "SD1, text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight,"
            + " UP, encoder.layers.0.self_attn.q_proj",
        // others
        "SDXL, diffusion_model.input_blocks.4.1.proj_in.lora_A.weight, DOWN,"
                + " down_blocks.1.attentions.0.proj_in",
        "SDXL, lycoris_mid_block_attentions_0_proj_in.lokr_w2_b, LOKR_W2_B,"
                + " mid_block.attentions.0.proj_in",
        "SD1, lora_unet_conv_in.diff_b, FULL_BIAS, conv_in",
        "SD1, lora_unet_down_blocks_0_resnets_0_norm1.w_norm, FULL, down_blocks.0.resnets.0.norm1",
    })
    void meansALayer(Family family, String key, LoraName.Role role, String weight) {
        LoraName name = LoraName.parse(key);
        assertNotNull(name);
        assertEquals(role, name.role());
        List<LoraTargets.Target> found =
                ShippedTemplate.targets(family, STORED).find(name.network(), name.module());
        assertEquals(1, found.size(), name.toString());
        assertEquals(weight, found.getFirst().weight());
    }

    @ParameterizedTest
    @CsvSource({
        "text_encoder:0:down, numbers the layers",
        "unet:143:up, numbers the layers",
        "<s1>, embedding",
        "bundle_emb.style.string_to_param.*, embedding",
        "lora_unet_mid_block_attentions_0_proj_in.oft_blocks, OFT",
        "lora_unet_mid_block_attentions_0_proj_in.on_input, IA3",
        "lora_unet_mid_block_attentions_0_proj_in.a1.weight, GLoRA",
        "unet.conv_in.lora_B.bias, lora_bias",
        "model.diffusion_model.input_blocks.0.0.weight, whole model",
        "what.is.this, no tensor of a LoRA",
    })
    void saysWhatElseATensorIs(String key, String what) {
        assertNull(LoraName.parse(key));
        assertTrue(LoraName.otherForm(key).contains(what), LoraName.otherForm(key));
    }
}
