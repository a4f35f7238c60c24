// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ModelParts;
import io.github.asg4j.Tiny;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A folder as people have it: models of all kinds, and much that is none. */
class ModelFolderTest {
    @TempDir private Path folder = Path.of("");

    /** Files that cannot be drawn with, and a part of what is said of each. */
    private final Map<String, String> nasty = new LinkedHashMap<>();

    private void text(String name, String content, String said) {
        bytes(name, content.getBytes(StandardCharsets.ISO_8859_1), said);
    }

    private void bytes(String name, byte[] content, String said) {
        try {
            Files.write(folder.resolve(name), content);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
        nasty.put(name, said);
    }

    private void file(String name, SafeTensorsFile content, String said) {
        bytes(name, content.toBytes(), said);
    }

    private static SafeTensorsFile one(String tensor, Long... shape) {
        long count = Stream.of(shape).reduce(1L, (a, b) -> a * b);
        return new SafeTensorsFile().floats(tensor, List.of(shape), new float[(int) count]);
    }

    @BeforeEach
    void nastyFiles() {
        text("empty.safetensors", "", "is empty");
        text("pointer.safetensors", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull");
        text("page.safetensors", "<!DOCTYPE html><html>", "is a web page");
        text("page.ckpt", "<html><body>Sign in</body>", "is a web page");
        text("zip.ckpt", "PK\3\4archive/data.pkl", "torch.load");
        text("pickle.pt", "\u0080\2}q\0.", "Python pickle");
        text("pickle.safetensors", "\u0080\4}q\0.", "Python pickle");
        text("model.gguf", "GGUF\3\0\0\0", "GGUF");
        text("renamed.safetensors", "GGUF\3\0\0\0", "GGUF");
        text("config.safetensors", "{\"_class_name\": \"UNet2DConditionModel\"}", "JSON text");
        text("noise.safetensors", "not a model at all, just text", "names a header of");
        text("short.bin", "abc", "fewer than its header's length");
        byte[] whole = one("a", 4L).toBytes();
        bytes("cut.safetensors", java.util.Arrays.copyOf(whole, whole.length - 3), "incomplete");
        bytes("longer.safetensors", java.util.Arrays.copyOf(whole, whole.length + 3), "was added");
        file("nothing.safetensors", new SafeTensorsFile(), "no denoiser");
        file("other.safetensors", one("layers.0.weight", 2L, 2L), "no denoiser");
        file("overlap.safetensors", overlapping(), "they overlap");
        file(
                "outside.safetensors",
                new SafeTensorsFile().entry("a", "F32", List.of(4L), 0, 16),
                "the file is incomplete");
        file("type.safetensors", one("a", 1L).entry("b", "Q4", List.of(1L), 0, 4), "type Q4");
        file("lora.safetensors", one("lora_unet_mid_block.lora_down.weight", 4L, 8L), "--lora");
        file("peft.safetensors", one("unet.mid_block.lora_A.weight", 4L, 8L), "--lora");
        file("loha.safetensors", one("mid.hada_w1_a", 4L, 8L), "LoHa");
        file("embedding.safetensors", one("emb_params", 2L, 8L), "textual-inversion");
        file("controlnet.safetensors", one("control_model.a.weight", 2L), "ControlNet");
        file("flux.safetensors", one("double_blocks.0.a.weight", 2L), "FLUX");
        file("upscaler.safetensors", one("conv_body.weight", 2L), "an upscaler");
        file("vae.safetensors", one("decoder.conv_in.weight", 2L), "--vae");
        file(
                "text.safetensors",
                one("text_model.embeddings.token_embedding.weight", 2L, 2L),
                "text");
        file("unet.safetensors", one("down_blocks.0.resnets.0.conv1.weight", 2L), "denoiser alone");
        file("merged.safetensors", one("unet.conv_in.weight", 2L), "unet.");
        file("width.safetensors", unet(500, 4), "text of width 500");
        file("refiner.safetensors", unet(1280, 4), "without its [text_encoder_2, vae]");
        file("editing.safetensors", unet(768, 8), "8 input channels");
        file("inpainting.safetensors", unet(768, 9), "1.x without its [text_encoder, vae]");
        file("sd2.safetensors", unet(1024, 4), "SHA-256");
        file("parts.safetensors", unet(768, 4), "without its [text_encoder, vae]");
    }

    private static SafeTensorsFile overlapping() {
        return one("a", 4L).entry("b", "F32", List.of(2L), 4, 12);
    }

    private static SafeTensorsFile unet(long width, long channels) {
        String unet = "model.diffusion_model.";
        return one(unet + "input_blocks.0.0.weight", 2L, channels, 3L, 3L)
                .floats(
                        unet + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                        List.of(1L, width),
                        new float[(int) width]);
    }

    private List<ModelFolder.Entry> list() throws IOException {
        return ModelFolder.list(folder, new VerifiedFiles(null), true);
    }

    /** Each is listed with the reason that --model gives, and none keeps others from being listed. */
    @Test
    void nastyFilesAreListedWithTheReason() throws IOException {
        Map<String, ModelFolder.Entry> found =
                list().stream()
                        .collect(
                                Collectors.toMap(
                                        e -> folder.relativize(e.path()).toString(), e -> e));
        assertTrue(nasty.size() >= 30);
        assertEquals(nasty.keySet(), new java.util.LinkedHashSet<>(order(found.keySet())));
        nasty.forEach(
                (name, said) -> {
                    ModelFolder.Entry entry = found.get(name);
                    assertFalse(entry.refusal().isBlank(), name);
                    assertTrue(entry.refusal().contains(said), name + ": " + entry.refusal());
                    assertEquals("", entry.kind(), name);
                    BadBundleException opened = refusal(folder.resolve(name));
                    assertTrue(String.valueOf(opened.getMessage()).endsWith(entry.refusal()), name);
                });
    }

    private List<String> order(java.util.Set<String> names) {
        return nasty.keySet().stream().filter(names::contains).toList();
    }

    private static BadBundleException refusal(Path file) {
        try (Bundle bundle = Bundle.open(file, ModelParts.NONE, false)) {
            throw new AssertionError(bundle.place() + " opens");
        } catch (BadBundleException e) {
            return e;
        }
    }

    @Test
    void modelsAreListedWithWhatTheyAre() throws IOException {
        Files.createDirectory(folder.resolve("good"));
        SafeTensorsFile.likeStableDiffusion1().write(folder.resolve("good/sd15.safetensors"));
        copy(Tiny.bundle(), folder.resolve("good/tiny"));
        List<ModelFolder.Entry> good = list().stream().filter(e -> e.refusal().isEmpty()).toList();
        assertEquals(2, good.size());
        ModelFolder.Entry file = good.getFirst();
        assertEquals("Stable Diffusion 1.x", file.kind());
        assertEquals("file", file.form());
        assertEquals("epsilon", file.prediction());
        assertEquals(Files.size(file.path()), file.bytes());
        assertEquals("fp32", file.precision());
        assertEquals("CC0-1.0", file.licence());
        assertEquals("", file.published());
        ModelFolder.Entry bundle = good.getLast();
        assertEquals("tiny", bundle.kind());
        assertEquals("bundle", bundle.form());
        assertEquals("Apache-2.0", bundle.licence());
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file).toString()));
            }
        }
    }
}
