// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

class RecognitionTest {
    private static Recognition of(Map<String, List<Long>> shapes) {
        return Recognition.of("x.safetensors", shapes, Map.of());
    }

    /** Without EDM's markers, which the published list has as optional ones. */
    private static Map<String, List<Long>> sdxl() {
        Map<String, List<Long>> shapes = PublishedKeys.read("sdxl-sgm");
        shapes.keySet().removeIf(name -> name.startsWith("edm_"));
        return shapes;
    }

    @Test
    void recognisesStableDiffusion1() {
        Recognition found = of(PublishedKeys.read("sd1-ldm"));
        assertEquals(Family.SD1, found.family());
        assertEquals(EnumSet.of(Part.UNET, Part.TEXT_ENCODER, Part.VAE), found.parts());
        assertEquals("epsilon", found.prediction());
        assertEquals(4, found.inputChannels());
    }

    @Test
    void recognisesSdxlWithItsMarkers() {
        Map<String, List<Long>> shapes = sdxl();
        Recognition marked = of(shapes);
        assertEquals(Family.SDXL, marked.family());
        assertEquals(
                EnumSet.of(Part.UNET, Part.TEXT_ENCODER, Part.TEXT_ENCODER_2, Part.VAE),
                marked.parts());
        assertEquals("v", marked.prediction());
        assertTrue(marked.zeroTerminalSnr());
        shapes.remove("v_pred");
        shapes.remove("ztsnr");
        assertEquals("epsilon", of(shapes).prediction());
        Map<String, String> metadata = Map.of("modelspec.prediction_type", "v");
        assertEquals("v", Recognition.of("x", shapes, metadata).prediction());
    }

    @Test
    void recognisesStableDiffusion3AndItsSuccessors() {
        Map<String, List<Long>> shapes = PublishedKeys.read("sd3-comfyui");
        Recognition found = of(shapes);
        assertEquals(Family.SD3_MEDIUM, found.family());
        assertEquals(24, found.jointBlocks());
        assertEquals(16, found.inputChannels());
        assertEquals("flow", found.prediction());
        assertTrue(found.parts().contains(Part.TEXT_ENCODER_3));
        shapes.put(
                "model.diffusion_model.joint_blocks.0.x_block.attn2.qkv.weight",
                List.of(4608L, 1536L));
        assertEquals(Family.SD35_MEDIUM, of(shapes).family());
    }

    @Test
    void tellsVariantsByShapes() {
        Map<String, List<Long>> shapes = PublishedKeys.read("sd1-ldm");
        shapes.replaceAll(
                (name, shape) ->
                        name.endsWith("attn2.to_k.weight")
                                ? List.of(shape.getFirst(), 1024L)
                                : shape);
        assertEquals(Family.SD2, of(shapes).family());
        assertNull(of(shapes).prediction());
        shapes.put("model.diffusion_model.input_blocks.0.0.weight", List.of(320L, 9L, 3L, 3L));
        assertEquals(9, of(shapes).inputChannels());
        shapes.put("model.diffusion_model.time_embed.cond_proj.weight", List.of(320L, 256L));
        assertEquals(256, of(shapes).guidanceWidth());
        assertEquals("Stable Diffusion 2.x inpainting LCM", of(shapes).title());
    }

    @ParameterizedTest
    @CsvSource({
        "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight, --lora",
        "unet.down_blocks.0.attentions.0.proj_in.lora.up.weight, --lora",
        "base_model.model.x.lora_A.weight, --lora",
        "lora_unet_mid_block.hada_w1_a, --lora",
        "emb_params, textual-inversion",
        "control_model.input_blocks.0.0.weight, ControlNet",
        "double_blocks.0.img_attn.qkv.weight, FLUX",
        "body.0.RDB1.conv1.weight, upscaler",
        "first_stage_model.decoder.conv_in.weight, --vae",
        "decoder.conv_in.weight, --vae",
        "text_model.embeddings.token_embedding.weight, text encoder alone",
        "down_blocks.0.resnets.0.conv1.weight, folder of the whole",
        "something.else, [something.else]"
    })
    void saysWhatElseAFileHolds(String name, String what) {
        Map<String, List<Long>> shapes = Map.of(name, List.of(1L));
        String message = assertThrows(BadBundleException.class, () -> of(shapes)).getMessage();
        assertTrue(message.contains(what), message);
    }

    /** The markers of Playground 2.5, and of fine-tuned models with EDM's levels and v. */
    @ParameterizedTest
    @ValueSource(strings = {"edm_mean", "edm_vpred.sigma_max"})
    void refusesNoiseLevelsOfOtherKinds(String marker) {
        Map<String, List<Long>> shapes = sdxl();
        shapes.put(marker, List.of());
        String message = assertThrows(BadBundleException.class, () -> of(shapes)).getMessage();
        assertTrue(message.contains("noise levels of its own"), message);
    }

    @Test
    void refusesUnknownWidths() {
        Map<String, List<Long>> shapes = new LinkedHashMap<>();
        shapes.put("model.diffusion_model.input_blocks.0.0.weight", List.of(64L, 4L, 3L, 3L));
        shapes.put(
                "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                List.of(64L, 48L));
        String message = assertThrows(BadBundleException.class, () -> of(shapes)).getMessage();
        assertTrue(message.contains("width 48"), message);
    }
}
