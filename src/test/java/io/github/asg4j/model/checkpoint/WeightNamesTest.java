// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

class WeightNamesTest {
    /** Every weight that diffusers knows of a published model has its place, of the same size. */
    @ParameterizedTest
    @CsvSource({"sd1-diffusers, sd1-ldm, SD1", "sdxl-diffusers, sdxl-sgm, SDXL"})
    void findsEveryWeightOfAPublishedFile(String wanted, String file, Layout layout) {
        Map<String, List<Long>> there = PublishedKeys.read(file);
        Set<String> taken = new HashSet<>();
        List<String> missing = new ArrayList<>();
        PublishedKeys.read(wanted)
                .forEach(
                        (name, shape) -> {
                            Part part = part(name);
                            String weight = name.substring(name.indexOf('.') + 1);
                            if (part == null || weight.endsWith("logit_scale")) {
                                return;
                            }
                            Source found =
                                    WeightNames.of(layout, part, weight, 0).stream()
                                            .filter(s -> there.containsKey(s.tensor()))
                                            .findFirst()
                                            .orElse(null);
                            if (found == null
                                    || count(there.get(found.tensor())) / found.parts()
                                            != count(shape)) {
                                missing.add(name + " " + shape + " " + found);
                            } else {
                                taken.add(found.tensor() + "#" + found.part());
                            }
                        });
        assertEquals(List.of(), missing);
        // No two weights lie at one place, and nothing of the UNet is left over.
        long unet =
                there.keySet().stream().filter(n -> n.startsWith("model.diffusion_model.")).count();
        long found = taken.stream().filter(n -> n.startsWith("model.diffusion_model.")).count();
        assertEquals(unet, found);
    }

    private static Part part(String name) {
        return switch (name.substring(0, name.indexOf('.'))) {
            case "unet" -> Part.UNET;
            case "te", "te1" -> Part.TEXT_ENCODER;
            case "te2" -> Part.TEXT_ENCODER_2;
            case "vae" -> Part.VAE;
            default -> null;
        };
    }

    private static long count(List<Long> shape) {
        return shape.stream().reduce(1L, (a, b) -> a * b);
    }

    @ParameterizedTest
    @CsvSource({
        "SD1, VAE, decoder.up_blocks.0.resnets.2.conv1.weight,"
                + " first_stage_model.decoder.up.3.block.2.conv1.weight, 0, 1, NONE",
        "SD1, VAE, encoder.mid_block.attentions.0.to_out.0.weight,"
                + " first_stage_model.encoder.mid.attn_1.proj_out.weight, 0, 1, NONE",
        "SD1, VAE, encoder.down_blocks.1.downsamplers.0.conv.bias,"
                + " first_stage_model.encoder.down.1.downsample.conv.bias, 0, 1, NONE",
        "SD1, UNET, up_blocks.1.upsamplers.0.conv.weight,"
                + " model.diffusion_model.output_blocks.5.2.conv.weight, 0, 1, NONE",
        "SD2, TEXT_ENCODER, text_model.encoder.layers.3.self_attn.v_proj.bias,"
                + " cond_stage_model.model.transformer.resblocks.3.attn.in_proj_bias, 2, 3, NONE",
        "SDXL, TEXT_ENCODER_2, text_projection.weight,"
                + " conditioner.embedders.1.model.text_projection, 0, 1, TRANSPOSE",
        "SD3, TRANSFORMER, transformer_blocks.5.attn.add_k_proj.weight,"
                + " model.diffusion_model.joint_blocks.5.context_block.attn.qkv.weight, 1, 3, NONE",
        "SD3, TRANSFORMER, transformer_blocks.23.norm1_context.linear.weight,"
                + " model.diffusion_model.joint_blocks.23.context_block.adaLN_modulation.1.weight,"
                + " 0, 1, SWAP_HALVES",
        "SD3, TRANSFORMER, transformer_blocks.22.norm1_context.linear.weight,"
                + " model.diffusion_model.joint_blocks.22.context_block.adaLN_modulation.1.weight,"
                + " 0, 1, NONE",
        "SD3, TRANSFORMER, norm_out.linear.bias,"
                + " model.diffusion_model.final_layer.adaLN_modulation.1.bias, 0, 1, SWAP_HALVES"
    })
    void knowsPartsAndChanges(
            Layout layout,
            Part part,
            String weight,
            String tensor,
            int share,
            int shares,
            Source.Change change) {
        assertEquals(
                new Source(tensor, share, shares, change),
                WeightNames.of(layout, part, weight, 24).getFirst());
    }

    @Test
    void findsEveryJointBlockOfStableDiffusion3() {
        Map<String, List<Long>> there = PublishedKeys.read("sd3-comfyui");
        Set<String> taken = new HashSet<>();
        for (int block = 0; block < 24; block++) {
            for (String weight : jointWeights(block == 23)) {
                Source found =
                        WeightNames.of(
                                        Layout.SD3,
                                        Part.TRANSFORMER,
                                        "transformer_blocks." + block + "." + weight,
                                        24)
                                .getFirst();
                assertEquals(true, there.containsKey(found.tensor()), weight);
                taken.add(found.tensor());
            }
        }
        assertEquals(
                there.keySet().stream().filter(n -> n.contains("joint_blocks.")).count(),
                taken.size());
    }

    private static List<String> jointWeights(boolean last) {
        List<String> modules =
                new ArrayList<>(
                        List.of(
                                "norm1.linear",
                                "norm1_context.linear",
                                "attn.to_q",
                                "attn.to_k",
                                "attn.to_v",
                                "attn.add_q_proj",
                                "attn.add_k_proj",
                                "attn.add_v_proj",
                                "attn.to_out.0",
                                "ff.net.0.proj",
                                "ff.net.2"));
        if (!last) {
            modules.addAll(List.of("attn.to_add_out", "ff_context.net.0.proj", "ff_context.net.2"));
        }
        return modules.stream()
                .flatMap(m -> java.util.stream.Stream.of(m + ".weight", m + ".bias"))
                .toList();
    }

    @Test
    void refusesNamesThatNoModelHas() {
        assertThrows(
                IllegalArgumentException.class,
                () -> WeightNames.of(Layout.SD1, Part.UNET, "nonsense.weight", 0));
        assertThrows(
                IllegalArgumentException.class,
                () -> WeightNames.of(Layout.SD1, Part.TEXT_ENCODER_3, "x", 0));
    }
}
