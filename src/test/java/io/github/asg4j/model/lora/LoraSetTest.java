// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Lora;
import io.github.asg4j.model.checkpoint.Checkpoint;
import io.github.asg4j.model.checkpoint.Part;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * LoRA files of every form (onnx-export/tests/lora_fixtures.py), merged into a small checkpoint, against
 * what diffusers' fuse_lora and LyCORIS make of them.
 */
class LoraSetTest {
    private static final Path CHECKPOINT = Path.of("src/test/resources/checkpoint");
    private static final Path FILES = CHECKPOINT.resolve("lora");
    private static final String TO_Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";

    @TempDir Path temp;

    private final SmallModel model = SmallModel.sd15();

    @AfterEach
    void close() {
        model.close();
    }

    private LoraSet open(Lora... loras) {
        return model.open(loras);
    }

    private static Lora lora(String name, double weight) {
        return new Lora(FILES.resolve(name + ".safetensors"), weight);
    }

    /** "NAME@WEIGHT", or "both": two files at once. */
    private static Lora[] loras(String label) {
        if (label.equals("both")) {
            return new Lora[] {lora("kohya", 0.75), lora("peft", -0.5)};
        }
        int at = label.indexOf('@');
        return new Lora[] {
            lora(label.substring(0, at), Double.parseDouble(label.substring(at + 1)))
        };
    }

    @Test
    void weightsAreThoseOfDiffusersAndLycoris() {
        Map<String, Double> worst =
                model.differences(FILES.resolve("expected.safetensors"), LoraSetTest::loras);
        assertEquals(35, worst.size(), worst.toString());
        worst.forEach((name, found) -> assertTrue(found <= 1e-5, name + " differs by " + found));
    }

    private static String key(String layer) {
        return "lora_unet_" + layer.replace('.', '_');
    }

    private String refusal(SafeTensorsFile file) {
        Path path = file.write(temp.resolve("style.safetensors"));
        return assertThrows(BadRequestException.class, () -> open(new Lora(path, 1)).close())
                .getMessage();
    }

    private static SafeTensorsFile lowRank(String layer, int out, int rank, int in) {
        return new SafeTensorsFile()
                .floats(
                        layer + ".lora_down.weight",
                        List.of((long) rank, (long) in),
                        new float[rank * in])
                .floats(
                        layer + ".lora_up.weight",
                        List.of((long) out, (long) rank),
                        new float[out * rank]);
    }

    @Test
    void anotherWidthIsRefusedWithBothShapes() {
        String message =
                refusal(lowRank(key(TO_Q.replace("attn1.to_q", "attn2.to_k")), 8, 2, 2048));
        assertTrue(message.contains("changes a weight of 8 x 2048"), message);
        assertTrue(message.contains("sd15.safetensors (Stable Diffusion 1.x) is 8 x 32"), message);
        assertTrue(message.contains("made for Stable Diffusion XL"), message);
    }

    @Test
    void layersThatTheModelDoesNotHaveAreRefused() {
        String message = refusal(lowRank("lora_unet_joint_blocks_0_x_block_attn_qkv", 96, 2, 32));
        assertTrue(message.contains("1 of 1 layers that"), message);
        assertTrue(message.contains("joint_blocks_0_x_block_attn_qkv"), message);
        String second = refusal(lowRank("lora_te2_text_model_encoder_layers_0_mlp_fc1", 4, 2, 4));
        assertTrue(second.contains("does not have"), second);
    }

    @Test
    void whatDoesNotFitTogetherIsRefused() {
        SafeTensorsFile ranks =
                new SafeTensorsFile()
                        .floats(key(TO_Q) + ".lora_down.weight", List.of(8L, 8L), new float[64])
                        .floats(key(TO_Q) + ".lora_up.weight", List.of(8L, 4L), new float[32]);
        String message = refusal(ranks);
        assertTrue(message.contains("do not fit together"), message);
        assertTrue(message.contains("[8, 4]") && message.contains("[8, 8]"), message);
        String half =
                refusal(
                        new SafeTensorsFile()
                                .floats(
                                        key(TO_Q) + ".lora_up.weight",
                                        List.of(8L, 4L),
                                        new float[32]));
        assertTrue(half.contains("lacks its DOWN"), half);
        String bytes =
                refusal(
                        new SafeTensorsFile()
                                .tensor(key(TO_Q) + ".diff", "U8", List.of(8L, 8L), new byte[64]));
        assertTrue(bytes.contains("not of floating-point numbers"), bytes);
        String twice =
                refusal(
                        new SafeTensorsFile()
                                .floats("unet." + TO_Q + ".diff", List.of(1L), 0)
                                .floats(TO_Q + ".diff", List.of(1L), 0));
        assertTrue(twice.contains("the same change of one layer"), twice);
    }

    @Test
    void settingsOfPeftThatCannotBeReadAreRefused() {
        String layer = "unet." + TO_Q;
        SafeTensorsFile broken = new SafeTensorsFile().metadata("lora_adapter_metadata", "{x");
        broken.floats(layer + ".lora_A.weight", List.of(4L, 8L), new float[32])
                .floats(layer + ".lora_B.weight", List.of(8L, 4L), new float[32]);
        String message = refusal(broken);
        assertTrue(message.contains("strength is not known"), message);
        SafeTensorsFile dora =
                new SafeTensorsFile()
                        .metadata("lora_adapter_metadata", "{\\\"unet.use_dora\\\":true}")
                        .floats(layer + ".lora_A.weight", List.of(4L, 8L), new float[32])
                        .floats(layer + ".lora_B.weight", List.of(8L, 4L), new float[32]);
        assertTrue(refusal(dora).contains("use_dora"), refusal(dora));
        SafeTensorsFile pattern =
                new SafeTensorsFile()
                        .metadata(
                                "lora_adapter_metadata",
                                "{\\\"unet.alpha_pattern\\\":{\\\"to_(q|k)\\\":1}}")
                        .floats(layer + ".lora_A.weight", List.of(4L, 8L), new float[32])
                        .floats(layer + ".lora_B.weight", List.of(8L, 4L), new float[32]);
        assertTrue(refusal(pattern).contains("alpha_pattern"), refusal(pattern));
    }

    @Test
    void otherFilesAreNamedAsWhatTheyAre() throws IOException {
        String model =
                refusal(
                        new SafeTensorsFile()
                                .floats(
                                        "model.diffusion_model.input_blocks.0.0.weight",
                                        List.of(1L),
                                        0));
        assertTrue(model.contains("give the file with --model"), model);
        Path path =
                Files.writeString(
                        temp.resolve("p.safetensors"),
                        "version https://git-lfs.github.com/spec/v1");
        String pointer =
                assertThrows(BadRequestException.class, () -> open(new Lora(path, 1))).getMessage();
        assertTrue(pointer.contains("LoRA") && pointer.contains("git lfs pull"), pointer);
    }

    /** What PEFT itself writes has its settings in a file beside it. */
    @Test
    void settingsBesideAFileOfPeftCount() throws IOException {
        float[] down = new float[4 * 8];
        float[] up = new float[8 * 4];
        Arrays.fill(down, 1);
        Arrays.fill(up, 1);
        String layer = "base_model.model." + TO_Q;
        Path path =
                new SafeTensorsFile()
                        .floats(layer + ".lora_A.weight", List.of(4L, 8L), down)
                        .floats(layer + ".lora_B.weight", List.of(8L, 4L), up)
                        .write(temp.resolve("adapter_model.safetensors"));
        float[] before = new float[64];
        model.checkpoint.find(Part.UNET, TO_Q + ".weight").read(0, before);
        try (LoraSet set = open(new Lora(path, 1))) {
            assertEquals(
                    before[5] + 4, SmallModel.floats(set.of(Part.UNET, TO_Q + ".weight"))[5], 1e-5);
        }
        Files.writeString(temp.resolve("adapter_config.json"), "{\"r\": 4, \"lora_alpha\": 2}");
        try (LoraSet set = open(new Lora(path, 1))) {
            assertEquals(
                    before[5] + 2, SmallModel.floats(set.of(Part.UNET, TO_Q + ".weight"))[5], 1e-5);
        }
    }

    /**
     * SDXL's names outside of blocks, and a text encoder whose three projections are one tensor of the
     * file. A change of ones is added to each element.
     */
    @ParameterizedTest
    @CsvSource({
        "lora_unet_input_blocks_0_0, UNET, conv_in",
        "lora_unet_time_embed_0, UNET, time_embedding.linear_1",
        "lora_unet_label_emb_0_2, UNET, add_embedding.linear_2",
        "lora_unet_out_2, UNET, conv_out",
        "lora_te2_text_model_encoder_layers_0_self_attn_k_proj, TEXT_ENCODER_2,"
                + " text_model.encoder.layers.0.self_attn.k_proj",
        "lora_te2_text_model_encoder_layers_0_mlp_fc2, TEXT_ENCODER_2,"
                + " text_model.encoder.layers.0.mlp.fc2"
    })
    void layersOfSdxlAreChangedWhereTheyLie(String key, Part part, String weight) {
        try (SmallModel refiner = SmallModel.refiner()) {
            Checkpoint.Located stored = refiner.checkpoint.find(part, weight + ".weight");
            float[] before = new float[Math.toIntExact(stored.elements())];
            stored.read(0, before);
            int rows = Math.toIntExact(stored.rows());
            int columns = before.length / rows;
            float[] down = new float[columns];
            float[] up = new float[rows];
            Arrays.fill(down, 1);
            Arrays.fill(up, 1);
            Path path =
                    new SafeTensorsFile()
                            .floats(key + ".lora_down.weight", List.of(1L, (long) columns), down)
                            .floats(key + ".lora_up.weight", List.of((long) rows, 1L), up)
                            .write(temp.resolve("ones.safetensors"));
            try (LoraSet set = refiner.open(new Lora(path, 1))) {
                float[] after = SmallModel.floats(set.of(part, weight + ".weight"));
                assertEquals(before.length, after.length);
                for (int i = 0; i < after.length; i++) {
                    assertEquals(before[i] + 1, after[i], 1e-6);
                }
            }
        }
    }

    @Test
    void onlyWhatIsTouchedTakesMemory() {
        try (LoraSet set = open(lora("older", 1))) {
            assertNull(set.of(Part.UNET, "conv_in.weight"));
            assertEquals(3, set.names().size());
        }
        try (LoraSet set = open(lora("older", 0))) {
            assertNull(set.of(Part.UNET, TO_Q + ".weight"));
        }
    }
}
