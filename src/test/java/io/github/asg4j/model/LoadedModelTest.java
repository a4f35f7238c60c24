// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ModelParts;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Binding;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

class LoadedModelTest {
    private static final int LENGTH = 16;

    private final long bytesBefore = Memory.bytesInUse();
    private final Memory memory = new Memory("test");
    @TempDir private Path folder;

    @AfterEach
    void close() {
        memory.close();
        assertEquals(bytesBefore, Memory.bytesInUse(), "off-heap bytes in use");
    }

    @Test
    void describesItsNetworks() {
        try (LoadedModel model = open(Tiny.bundle())) {
            assertEquals(LENGTH, model.textEncoder().length(1));
            assertEquals(8, model.textEncoder().hiddenWidth());
            assertEquals(6, model.textEncoder().pooledWidth());
            assertEquals(4L * LENGTH * 8, model.textEncoder().hiddenBytes(1));
            Denoiser denoiser = model.denoiser();
            assertEquals(4, denoiser.channels());
            assertEquals(Tiny.DENOISER_INPUTS, denoiser.inputs());
            assertTrue(denoiser.hasMaps());
            assertEquals(2, denoiser.mapCount());
            assertEquals(4, denoiser.mapSize(0, 7));
            assertEquals(7, denoiser.mapSize(1, 7));
            assertEquals(1, model.threadsPerWorker());
        }
    }

    @Test
    void encodesTextInPlace() {
        try (LoadedModel model = open(Tiny.bundle())) {
            TextEncoder encoder = model.textEncoder();
            MemorySegment hidden = memory.allocate(encoder.hiddenBytes(1), "hidden");
            MemorySegment pooled = memory.allocate(encoder.pooledBytes(), "pooled");
            MemorySegment alone = memory.allocate(encoder.hiddenBytes(1), "hidden");
            int[] ids = new int[LENGTH];
            ids[1] = 3;
            encoder.encode(List.of(List.of(TextEncoder.Input.of(ids))), hidden, pooled);
            encoder.encode(List.of(List.of(TextEncoder.Input.of(ids))), alone, null);
            assertEquals(-1, hidden.mismatch(alone), "the pooled output changes nothing");
            assertTrue(norm(hidden) > 0 && norm(pooled) > 0);
            ids[1] = 4;
            encoder.encode(List.of(List.of(TextEncoder.Input.of(ids))), alone, null);
            assertTrue(hidden.mismatch(alone) >= 0, "another token gives other states");

            assertThrows(
                    IllegalArgumentException.class,
                    () ->
                            encoder.encode(
                                    List.of(List.of(TextEncoder.Input.of(new int[LENGTH - 1]))),
                                    hidden,
                                    pooled));
            assertThrows(
                    IllegalArgumentException.class,
                    () ->
                            encoder.encode(
                                    List.of(List.of(TextEncoder.Input.of(ids))),
                                    hidden.asSlice(4),
                                    pooled));
            assertThrows(
                    IllegalArgumentException.class,
                    () ->
                            encoder.encode(
                                    List.of(
                                            List.of(TextEncoder.Input.of(ids)),
                                            List.of(TextEncoder.Input.of(ids))),
                                    hidden,
                                    pooled));
        }
    }

    /** Rows of odd sizes: the maps' sizes are rounded up; a call without maps gives the same. */
    @ParameterizedTest
    @CsvSource({"1, 8, 8", "2, 7, 9", "3, 5, 4"})
    void bindsTheDenoiserWithAndWithoutMaps(int rows, int h, int w) {
        try (LoadedModel model = open(Tiny.bundle())) {
            Denoiser denoiser = model.denoiser();
            Random random = new Random(rows);
            long count = (long) rows * 4 * h * w;
            MemorySegment sample = noise(random, count);
            MemorySegment timestep = noise(random, rows);
            MemorySegment hidden = noise(random, (long) rows * LENGTH * 8);
            MemorySegment pooled = noise(random, rows * 6L);
            MemorySegment timeIds = noise(random, rows * 6L);
            MemorySegment weights = memory.floats((long) rows * LENGTH, "token weights");
            weights.setAtIndex(ValueLayout.JAVA_FLOAT, 1, 1);
            MemorySegment first = memory.floats(count, "noise");
            MemorySegment second = memory.floats(count, "noise");
            List<MemorySegment> maps =
                    List.of(
                            memory.floats((long) rows * ((h + 1) / 2) * ((w + 1) / 2), "map"),
                            memory.floats((long) rows * h * w, "map"));
            Map<InputRole, MemorySegment> inputs =
                    inputs(sample, timestep, hidden, pooled, timeIds, weights);
            try (Binding withMaps =
                            denoiser.bind(rows, h, w, inputs, null, List.of(), first, maps);
                    Binding without =
                            denoiser.bind(rows, h, w, inputs, null, List.of(), second, List.of())) {
                withMaps.run();
                without.run();
            }
            assertTrue(norm(first) > 0);
            assertEquals(-1, first.mismatch(second));
            // Token 1 of row 0 alone weighs: its map is positive, all others are zero.
            for (MemorySegment map : maps) {
                long row = map.byteSize() / rows;
                assertTrue(norm(map.asSlice(0, row)) > 0);
                assertEquals(0, norm(map.asSlice(row)));
            }
            assertThrows(
                    IllegalArgumentException.class,
                    () ->
                            denoiser.bind(
                                    rows,
                                    h,
                                    w,
                                    inputs,
                                    null,
                                    List.of(),
                                    first,
                                    maps.subList(0, 1)));
            inputs.remove(InputRole.POOLED);
            assertThrows(
                    BadBundleException.class,
                    () -> denoiser.bind(rows, h, w, inputs, null, List.of(), first, maps),
                    "an input is missing");
        }
    }

    @Test
    void whatIsBoundSurvivesTheModelsEnd() {
        LoadedModel model = open(Tiny.bundle());
        MemorySegment noise = memory.floats(256, "noise");
        Binding binding =
                model.denoiser()
                        .bind(
                                1,
                                8,
                                8,
                                inputs(
                                        memory.floats(256, "sample"),
                                        memory.floats(1, "timestep"),
                                        memory.floats(LENGTH * 8L, "hidden"),
                                        memory.floats(6, "pooled"),
                                        memory.floats(6, "time ids"),
                                        memory.floats(LENGTH, "weights")),
                                null,
                                List.of(),
                                noise,
                                List.of());
        model.close();
        binding.run();
        binding.close();
        int[] ids = new int[LENGTH];
        MemorySegment hidden = memory.allocate(model.textEncoder().hiddenBytes(1), "hidden");
        assertThrows(
                IllegalStateException.class,
                () ->
                        model.textEncoder()
                                .encode(List.of(List.of(TextEncoder.Input.of(ids))), hidden, null));
    }

    /** The demo's weights lie in denoiser.onnx, for both graphs; in the jar as in a folder. */
    @ParameterizedTest
    @CsvSource({"1, 16, 16", "2, 20, 12"})
    void dilationOneIsThePlainGraph(int rows, int h, int w) {
        try (LoadedModel model = LoadedModel.open(Bundle.open(null, ModelParts.NONE, false), 1)) {
            Denoiser plain = model.denoiser();
            Denoiser dilated = model.dilatedDenoiser();
            assertEquals(List.of(), plain.dilationGroups());
            assertTrue(dilated.dilationGroups().containsAll(List.of("mid_block", "up_blocks.0")));
            assertSame(dilated, model.dilatedDenoiser());
            MemorySegment expected = noiseOf(plain, null, rows, h, w);
            MemorySegment factors = memory.floats(dilated.dilationGroups().size(), "dilation");
            fill(factors, 1);
            MemorySegment one = noiseOf(dilated, factors, rows, h, w);
            assertTrue(relative(one, expected) <= 1e-5, "error " + relative(one, expected));
            fill(factors, 2);
            MemorySegment two = noiseOf(dilated, factors, rows, h, w);
            assertTrue(relative(two, expected) > 1e-2, "the factors make no difference");
            fill(factors, 2.5f);
            assertTrue(relative(noiseOf(dilated, factors, rows, h, w), two) > 1e-2);
        }
    }

    /** In the order of {@link Tiny#DENOISER_INPUTS}. */
    private static Map<InputRole, MemorySegment> inputs(MemorySegment... buffers) {
        Map<InputRole, MemorySegment> inputs = new EnumMap<>(InputRole.class);
        for (int i = 0; i < buffers.length; i++) {
            inputs.put(Tiny.DENOISER_INPUTS.get(i).role(), buffers[i]);
        }
        return inputs;
    }

    private MemorySegment noiseOf(
            Denoiser denoiser, @Nullable MemorySegment dilation, int rows, int h, int w) {
        Random random = new Random(7);
        long count = (long) rows * 4 * h * w;
        MemorySegment out = memory.floats(count, "noise");
        MemorySegment timestep = memory.floats(rows, "timestep");
        fill(timestep, 600);
        MemorySegment sizes = memory.floats(rows * 6L, "time ids");
        fill(sizes, 256);
        List<MemorySegment> maps = List.of();
        try (Binding binding =
                denoiser.bind(
                        rows,
                        h,
                        w,
                        inputs(
                                noise(random, count),
                                timestep,
                                noise(random, rows * 32L * 128),
                                noise(random, rows * 128L),
                                sizes,
                                memory.floats(rows * 32L, "token weights")),
                        dilation,
                        List.of(),
                        out,
                        maps)) {
            binding.run();
        }
        return out;
    }

    private static void fill(MemorySegment floats, float value) {
        for (long i = 0; i < floats.byteSize() / 4; i++) {
            floats.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        }
    }

    /** Largest difference, relative to the largest value. */
    private static double relative(MemorySegment a, MemorySegment b) {
        double difference = 0;
        double largest = 0;
        for (long i = 0; i < a.byteSize() / 4; i++) {
            float expected = b.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            difference =
                    Math.max(
                            difference,
                            Math.abs(a.getAtIndex(ValueLayout.JAVA_FLOAT, i) - expected));
            largest = Math.max(largest, Math.abs(expected));
        }
        return difference / largest;
    }

    /** What the manifest says of the dilated graph, and what it is not. */
    @Test
    void aDilatedGraphThatIsNotWhatTheManifestSaysIsNamed() throws IOException {
        copy(Tiny.resource(Bundle.DEMO));
        Path manifest = folder.resolve(Manifest.FILE_NAME);
        String text = Files.readString(manifest);
        Files.writeString(manifest, text.replace("\"mid_block\",", ""));
        try (LoadedModel model = open(folder)) {
            BadBundleException e = assertThrows(BadBundleException.class, model::dilatedDenoiser);
            assertTrue(e.getMessage().contains("denoiser_dilated.onnx"), e.getMessage());
            assertTrue(e.getMessage().contains("\"dilation\""), e.getMessage());
            assertTrue(e.getMessage().contains("float32[8]"), e.getMessage());
        }
    }

    /** What the manifest says, and what the graph is not. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"channels\": 4 | \"channels\": 3 | denoiser.onnx | \"sample\" | float32[?, 3, ?,"
                        + " ?]",
                "\"file\": \"denoiser.onnx\" | \"file\": \"vae_decoder.onnx\" | vae_decoder.onnx"
                        + " | \"latents\" | sample",
                "\"mask_up0\" | \"mask_up7\" | denoiser.onnx | \"mask_up7\" | mask_up0",
                "\"mask_up0\" | \"noise\" | denoiser.onnx | \"noise\" | float32[?, ?, ?]",
                "\"last_hidden_state\" | \"hidden\" | text_encoder.onnx | \"hidden\""
                        + " | last_hidden_state",
                "\"last_hidden_state\" | \"text_embeds\" | text_encoder.onnx | \"text_embeds\""
                        + " | float32[?, 16, ?]",
                "\"decoder\": \"vae_decoder.onnx\" | \"decoder\": \"vae_encoder.onnx\""
                        + " | vae_encoder.onnx | \"image\" | latents",
                "\"decoder\": \"vae_decoder.onnx\" | \"decoder\": \"tokenizer.json\""
                        + " | tokenizer.json | ONNX | tokenizer.json",
            })
    void aGraphThatIsNotWhatTheManifestSaysIsNamed(
            String was, String is, String file, String tensor, String expected) throws IOException {
        copy(Tiny.bundle());
        Path manifest = folder.resolve(Manifest.FILE_NAME);
        String text = Files.readString(manifest);
        assertTrue(text.contains(was), was);
        Files.writeString(manifest, text.replace(was, is));
        BadBundleException e = assertThrows(BadBundleException.class, () -> open(folder).close());
        assertTrue(e.getMessage().contains(file), e.getMessage());
        assertTrue(e.getMessage().contains(tensor), e.getMessage());
        assertTrue(e.getMessage().contains(expected), e.getMessage());
    }

    @Test
    void aDenoiserForInpaintingThatTakesAllAsOneInputIsRefused() {
        Path bundle = Tiny.withDenoiser(folder, Tiny.resource("ort/inpainting.onnx"));
        String message =
                assertThrows(BadBundleException.class, () -> open(bundle).close()).getMessage();
        assertTrue(message.contains("inpainting.onnx takes 9 channels and gives 4"), message);
        assertTrue(message.contains("have to be the input \"inpaint\": export it"), message);
    }

    private static void decode(
            LoadedModel model, MemorySegment latents, int h, int w, MemorySegment image) {
        try (Binding binding = model.vaeDecoder().bind(latents, image, h, w)) {
            binding.run();
        }
    }

    @Test
    void decodesWhole() {
        try (LoadedModel model = open(Tiny.bundle())) {
            MemorySegment latents = noise(new Random(1), 4 * 3 * 5);
            MemorySegment image = memory.floats(3L * 24 * 40, "image");
            MemorySegment again = memory.floats(3L * 24 * 40, "image");
            decode(model, latents, 3, 5, image);
            decode(model, latents, 3, 5, again);
            assertTrue(norm(image) > 0);
            assertArrayEquals(
                    image.toArray(ValueLayout.JAVA_FLOAT), again.toArray(ValueLayout.JAVA_FLOAT));
        }
    }

    /** A picture of the demo's size comes back from its latents about as it was. */
    @Test
    void encodesWhatItDecodes() {
        Bundle demo = Bundle.open(null, ModelParts.NONE, false);
        try (LoadedModel model = LoadedModel.open(demo, 1)) {
            int h = demo.manifest().latent().nativeHeight();
            int w = demo.manifest().latent().nativeWidth();
            int f = demo.manifest().latent().vaeFactor();
            MemorySegment image = memory.floats(3L * h * f * w * f, "image");
            for (long i = 0; i < image.byteSize() / 4; i++) { // a horizon: light above dark
                boolean above = i / ((long) w * f) % ((long) h * f) < (long) h * f / 2;
                image.setAtIndex(ValueLayout.JAVA_FLOAT, i, above ? 0.6f : -0.4f);
            }
            long count = (long) demo.manifest().latent().channels() * h * w;
            MemorySegment latents = memory.floats(count, "latents");
            MemorySegment back = memory.floats(image.byteSize() / 4, "image");
            try (Binding encode = model.vaeEncoder().bind(image, latents, h, w)) {
                encode.run();
            }
            decode(model, latents, h, w, back);
            double distance = 0;
            for (long i = 0; i < image.byteSize() / 4; i++) {
                distance +=
                        Math.abs(
                                image.getAtIndex(ValueLayout.JAVA_FLOAT, i)
                                        - back.getAtIndex(ValueLayout.JAVA_FLOAT, i));
            }
            double mean = distance / (image.byteSize() / 4.0);
            // The demo's VAE is small; upside down would be a distance of 1.
            assertTrue(mean < 0.2, "mean distance " + mean);
        }
    }

    @Test
    void theEncoderIsWhatTheManifestSays() throws IOException {
        copy(Tiny.bundle());
        Path manifest = folder.resolve(Manifest.FILE_NAME);
        String text = Files.readString(manifest);
        Files.writeString(
                manifest,
                text.replace(
                        "\"encoder\": \"vae_encoder.onnx\"", "\"encoder\": \"vae_decoder.onnx\""));
        try (LoadedModel model = open(folder)) {
            MemorySegment any = memory.floats(3L * 64, "one cell");
            BadBundleException e =
                    assertThrows(
                            BadBundleException.class,
                            () -> model.vaeEncoder().bind(any, any, 1, 1));
            assertTrue(e.getMessage().contains("vae_decoder.onnx"), e.getMessage());
            assertTrue(e.getMessage().contains("\"latents\""), e.getMessage());
        }
        LoadedModel closed = open(Tiny.bundle());
        closed.close();
        assertThrows(IllegalStateException.class, closed::vaeEncoder);
    }

    private LoadedModel open(Path bundle) {
        Bundle opened = Bundle.openFolder(bundle, new VerifiedFiles(null), false);
        return LoadedModel.open(opened, 1);
    }

    private void copy(Path bundle) throws IOException {
        try (Stream<Path> files = Files.list(bundle)) {
            for (Path file : files.toList()) {
                Files.copy(file, folder.resolve(file.getFileName().toString()));
            }
        }
        assertFalse(Files.notExists(folder.resolve(Manifest.FILE_NAME)));
    }

    private MemorySegment noise(Random random, long count) {
        MemorySegment segment = memory.floats(count, "noise");
        for (long i = 0; i < count; i++) {
            segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
        return segment;
    }

    private static double norm(MemorySegment segment) {
        double sum = 0;
        for (float value : segment.toArray(ValueLayout.JAVA_FLOAT)) {
            sum += (double) value * value;
        }
        assertTrue(Double.isFinite(sum));
        return Math.sqrt(sum);
    }
}
