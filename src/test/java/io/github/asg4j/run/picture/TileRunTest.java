// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.ModelParts;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.JavaKernels;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.work.WorkScheduler;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Tiles against the whole picture, on small RRDBNets that see less than 20 pixels around. */
class TileRunTest {
    private final long bytesBefore = Memory.bytesInUse();
    private final Memory memory = new Memory("test");
    @TempDir private Path folder;

    @AfterEach
    void close() {
        memory.close();
        assertEquals(bytesBefore, Memory.bytesInUse(), "off-heap bytes in use");
    }

    @ParameterizedTest
    @CsvSource({"2, 200, 230", "4, 31, 250", "2, 192, 192", "2, 7, 5"})
    void tilesGiveTheWholePicture(int scale, int height, int width) {
        try (LoadedModel model = model(scale)) {
            Manifest.Upscaler entry =
                    new Manifest.Upscaler("upscaler_x" + scale + ".onnx", scale, 20, Double.NaN, 0);
            MemorySegment picture = picture(height, width);
            MemorySegment whole = whole(model, entry, picture, height, width);
            MemorySegment tiled =
                    tiled(model, Upscaling.of(height, width, scale, List.of(entry)), picture, 1);
            assertTrue(
                    largestDifference(whole, tiled) < 2e-6, "" + largestDifference(whole, tiled));
        }
    }

    /**
     * The border is what the network sees, 19 pixels by its convolutions (rrdbnet.py): with it tiles
     * are exact, and the fewer pixels they share the more they differ.
     */
    @Test
    void tilesDifferByWhatTheyDoNotSee() {
        try (LoadedModel model = model(2)) {
            MemorySegment picture = picture(200, 40);
            double before = 0;
            for (int overlap : new int[] {19, 8, 4, 0}) {
                var entry = new Manifest.Upscaler("upscaler_x2.onnx", 2, overlap, Double.NaN, 0);
                MemorySegment whole = whole(model, entry, picture, 200, 40);
                MemorySegment tiled =
                        tiled(model, Upscaling.of(200, 40, 2, List.of(entry)), picture, 1);
                double difference = largestDifference(whole, tiled);
                assertTrue(overlap < 19 || difference < 2e-6, overlap + ": " + difference);
                assertTrue(difference >= before, overlap + ": " + difference + " after " + before);
                before = difference;
            }
        }
    }

    /** What the border is for: without it the seams are seen. */
    @Test
    void tilesWithoutBordersDiffer() {
        try (LoadedModel model = model(2)) {
            Manifest.Upscaler blind =
                    new Manifest.Upscaler("upscaler_x2.onnx", 2, 0, Double.NaN, 0);
            MemorySegment picture = picture(200, 40);
            MemorySegment whole = whole(model, blind, picture, 200, 40);
            MemorySegment tiled =
                    tiled(model, Upscaling.of(200, 40, 2, List.of(blind)), picture, 1);
            assertTrue(largestDifference(whole, tiled) > 0.01);
        }
    }

    /** Two passes; workers take tiles in whatever order. */
    @Test
    void theSameForAnyNumberOfWorkers() {
        try (LoadedModel model = model(2)) {
            Manifest.Upscaler entry =
                    new Manifest.Upscaler("upscaler_x2.onnx", 2, 20, Double.NaN, 0);
            Upscaling upscaling = Upscaling.of(60, 150, 4, List.of(entry));
            MemorySegment picture = picture(60, 150);
            MemorySegment one = tiled(model, upscaling, picture, 1);
            MemorySegment three = tiled(model, upscaling, picture, 3);
            assertEquals(12L * 240 * 600, one.byteSize());
            assertEquals(-1, one.mismatch(three));
            for (long i = 0; i < one.byteSize() / 4; i++) {
                float v = one.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                assertTrue(v >= 0 && v <= 1, "" + v);
            }
        }
    }

    @Test
    void theSecondPassWaitsForTheFirst() {
        try (LoadedModel model = model(2);
                TileRun run = run(model, 60, 200, 4, 1)) {
            assertEquals(2 + 3, run.units());
            int[] done = new int[run.units()];
            Progress progress = unit -> done[unit];
            assertTrue(run.ready(0, progress) && run.ready(1, progress) && !run.ready(2, progress));
            done[1] = 1;
            assertTrue(!run.ready(2, progress));
            done[0] = 1;
            assertTrue(run.ready(2, progress) && run.ready(4, progress));
            assertEquals(2, run.completed(progress));
        }
    }

    /** A graph that is not what the manifest says is named with its file. */
    @Test
    void anUpscalerOfAnotherScaleIsRefused() {
        try (LoadedModel model = model(2)) {
            Manifest.Upscaler wrong =
                    new Manifest.Upscaler("upscaler_x2.onnx", 3, 20, Double.NaN, 0);
            Upscaling upscaling = Upscaling.of(8, 8, 3, List.of(wrong));
            BadBundleException e =
                    assertThrows(
                            BadBundleException.class,
                            () -> tiled(model, upscaling, picture(8, 8), 1));
            assertTrue(e.getMessage().contains("upscaler_x2.onnx"), e.getMessage());
            Manifest.Upscaler decoder =
                    new Manifest.Upscaler("vae_decoder.onnx", 2, 20, Double.NaN, 0);
            e = assertThrows(BadBundleException.class, () -> model.upscaler(decoder, 0));
            assertTrue(
                    e.getMessage().contains("vae_decoder.onnx: input \"latents\""), e.getMessage());
        }
    }

    @Test
    void aClosedModelLoadsNone() {
        LoadedModel model = model(2);
        Manifest.Upscaler entry = new Manifest.Upscaler("upscaler_x2.onnx", 2, 20, Double.NaN, 0);
        assertSame(model.upscaler(entry, 0), model.upscaler(entry, 0));
        model.close();
        assertThrows(IllegalStateException.class, () -> model.upscaler(entry, 0));
    }

    private LoadedModel model(int scale) {
        EngineOptions options = EngineOptions.DEFAULT.withModel(Tiny.withUpscalers(folder, scale));
        return LoadedModel.open(Bundle.open(options.model(), ModelParts.NONE, false), 1);
    }

    private TileRun run(LoadedModel model, int height, int width, int scale, int workers) {
        Manifest.Upscaler entry = new Manifest.Upscaler("upscaler_x2.onnx", 2, 20, Double.NaN, 0);
        Upscaling upscaling = Upscaling.of(height, width, scale, List.of(entry));
        return new TileRun(
                upscaling,
                (upscaler, worker) -> model.upscaler(upscaler, 0),
                picture(height, width),
                new JavaKernels(),
                workers,
                memory);
    }

    private MemorySegment tiled(
            LoadedModel model, Upscaling upscaling, MemorySegment picture, int count) {
        List<String> names = IntStream.range(0, count).mapToObj(i -> "cpu#" + i).toList();
        WorkScheduler scheduler =
                new WorkScheduler(names, names.stream().mapToDouble(name -> 1).toArray());
        HostWorkers workers = new HostWorkers(count);
        TileRun run =
                new TileRun(
                        upscaling,
                        (upscaler, worker) -> model.upscaler(upscaler, 0),
                        picture,
                        new JavaKernels(),
                        count,
                        memory);
        try (workers;
                run) {
            scheduler.add(run);
            int unit;
            for (int turn = 0;
                    (unit = scheduler.next(run, workers.get(turn % count)))
                            != WorkScheduler.PART_DONE;
                    turn++) {
                assertTrue(run.execute(workers.get(turn % count), unit, 0));
                scheduler.complete(run, unit);
            }
            return run.enlarged();
        }
    }

    private MemorySegment whole(
            LoadedModel model, Manifest.Upscaler entry, MemorySegment picture, int h, int w) {
        int scale = entry.scale();
        MemorySegment out = memory.floats(3L * h * w * scale * scale, "whole");
        try (Binding binding = model.upscaler(entry, 0).bind(picture, out, h, w)) {
            binding.run();
        }
        for (long i = 0; i < out.byteSize() / 4; i++) {
            float v = out.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            out.setAtIndex(ValueLayout.JAVA_FLOAT, i, Math.clamp(v, 0f, 1f));
        }
        return out;
    }

    private MemorySegment picture(int height, int width) {
        MemorySegment picture = memory.floats(3L * height * width, "picture");
        Random random = new Random(height);
        for (long i = 0; i < 3L * height * width; i++) {
            picture.setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextFloat());
        }
        return picture;
    }

    private static double largestDifference(MemorySegment a, MemorySegment b) {
        assertEquals(a.byteSize(), b.byteSize());
        double largest = 0;
        for (long i = 0; i < a.byteSize() / 4; i++) {
            double difference =
                    a.getAtIndex(ValueLayout.JAVA_FLOAT, i)
                            - b.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            largest = Math.max(largest, Math.abs(difference));
        }
        return largest;
    }
}
