// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Lora;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * LoRA files for SD3 and SD3.5 (onnx-export/tests/lora_fixtures.py), whose publisher's names join the
 * projections of an attention and have shift and scale of some layers the other way round: against what
 * diffusers' fuse_lora makes of the same change in its own names.
 */
class JointLoraTest {
    private static final Path FILES = Path.of("src/test/resources/checkpoint/lora/sd35");
    private static final String QKV = "lora_unet_joint_blocks_0_x_block_attn_qkv";

    @TempDir Path temp;

    private final SmallModel model = SmallModel.sd35();

    @AfterEach
    void close() {
        model.close();
    }

    /** "NAME@WEIGHT" of a file. */
    private static Lora[] loras(String label) {
        int at = label.indexOf('@');
        return new Lora[] {
            new Lora(
                    FILES.resolve(label.substring(0, at) + ".safetensors"),
                    Double.parseDouble(label.substring(at + 1)))
        };
    }

    @Test
    void weightsAreThoseOfDiffusers() {
        Map<String, Double> worst =
                model.differences(FILES.resolve("expected.safetensors"), JointLoraTest::loras);
        assertEquals(9, worst.size(), worst.toString());
        worst.forEach((name, found) -> assertTrue(found <= 1e-5, name + " differs by " + found));
    }

    @Test
    void lengthsOfInputsOfJoinedProjectionsAreRefused() {
        SafeTensorsFile file =
                new SafeTensorsFile()
                        .floats(QKV + ".lora_down.weight", List.of(1L, 32L), new float[32])
                        .floats(QKV + ".lora_up.weight", List.of(96L, 1L), new float[96])
                        .floats(QKV + ".dora_scale", List.of(1L, 32L), new float[32]);
        Path path = file.write(temp.resolve("dora.safetensors"));
        String message =
                assertThrows(BadRequestException.class, () -> model.open(new Lora(path, 1)).close())
                        .getMessage();
        assertTrue(message.contains("each input channel of 3 weights together"), message);
    }

    @Test
    void lengthsOfOutputsAreEachProjectionsOwn() {
        float[] down = new float[32];
        float[] up = new float[96];
        float[] lengths = new float[96];
        for (int i = 0; i < up.length; i++) {
            lengths[i] = 1 + i;
        }
        Path path =
                new SafeTensorsFile()
                        .floats(QKV + ".lora_down.weight", List.of(1L, 32L), down)
                        .floats(QKV + ".lora_up.weight", List.of(96L, 1L), up)
                        .floats(QKV + ".dora_scale", List.of(96L, 1L), lengths)
                        .write(temp.resolve("dora.safetensors"));
        try (LoraSet set = model.open(new Lora(path, 1))) {
            int first = 0;
            for (String projection : List.of("to_q", "to_k", "to_v")) {
                float[] weight =
                        SmallModel.floats(
                                set.of(
                                        Part.TRANSFORMER,
                                        "transformer_blocks.0.attn." + projection + ".weight"));
                for (int row = 0; row < 32; row++) {
                    double squares = 0;
                    for (int i = 0; i < 32; i++) {
                        squares += weight[row * 32 + i] * weight[row * 32 + i];
                    }
                    assertEquals(lengths[first + row], Math.sqrt(squares), 1e-3);
                }
                first += 32;
            }
        }
    }
}
