// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.GuidedStep;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.StepRow;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.Denoiser;
import io.github.asg4j.model.InputRole;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.ort.Binding;

import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * One step of four of the demo's patches, the key patch among them, with classifier-free guidance:
 * the UNet call, and the kernels between it and the next one, on one core each.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 7, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class PatchStepBenchmark {
    private static final int VIEWS = 4;
    private static final int ROWS = 2 * VIEWS;
    private static final int CHANNELS = 4;
    private static final int SIDE = 16;
    private static final int TOKENS = 32;
    private static final int WIDTH = 128;
    private static final long AREA = SIDE * SIDE;
    private static final long PLANE = CHANNELS * AREA;

    /** The UNet, or the kernels of an implementation. */
    @Param({"unet", "java", "scalar", "avx2", "avx512"})
    public String part;

    private final Random random = new Random(1);
    private final List<MemorySegment> maps = new ArrayList<>();
    private Memory memory;
    private LoadedModel model;
    private Binding binding;
    private Place place;
    private MemorySegment latents;
    private MemorySegment shuffled;
    private MemorySegment next;
    private MemorySegment sample;
    private MemorySegment noise;
    private MemorySegment uncond;
    private MemorySegment cond;
    private MemorySegment mask;
    private MemorySegment guide;
    private MemorySegment guideOut;
    private MemorySegment found;
    private MemorySegment step;
    private final GuidedStep call = new GuidedStep();
    private MemorySegment[] keyMaps;
    private int[] mapSides;

    @Setup
    public void load() {
        memory = new Memory("benchmark");
        place = Place.open(part.equals("unet") ? "auto" : part);
        model = LoadedModel.open(Bundle.open(null, ModelParts.NONE, false), 1);
        Denoiser denoiser = model.denoiser();
        latents = random(VIEWS * PLANE);
        shuffled = random(VIEWS * PLANE);
        next = random(VIEWS * PLANE);
        sample = random(ROWS * PLANE);
        noise = random(ROWS * PLANE);
        uncond = noise.asSlice(0, VIEWS * PLANE * 4);
        cond = noise.asSlice(VIEWS * PLANE * 4);
        mask = random(AREA);
        guide = random(PLANE);
        guideOut = random(PLANE);
        found = memory.allocate(Long.BYTES, "index of a non-finite value");
        found.fill(Kernels.NONE_FOUND_BYTE);
        keyMaps = new MemorySegment[denoiser.mapCount()];
        mapSides = new int[denoiser.mapCount()];
        for (int block = 0; block < mapSides.length; block++) {
            mapSides[block] = denoiser.mapSize(block, SIDE);
            long area = (long) mapSides[block] * mapSides[block];
            maps.add(random(ROWS * area));
            keyMaps[block] = maps.getLast().asSlice(VIEWS * area * 4, area * 4);
        }
        step = random(StepRow.FLOATS);
        for (int field = StepRow.STEP_PAST; field < StepRow.FLOATS; field++) {
            StepRow.set(step, field, 0);
        }
        StepRow.set(step, StepRow.STEP_N, 0);
        binding =
                denoiser.bind(
                        ROWS,
                        SIDE,
                        SIDE,
                        Map.of(
                                InputRole.SAMPLE, sample,
                                InputRole.TIMESTEP, filled(ROWS, 500),
                                InputRole.TEXT, random(ROWS * TOKENS * WIDTH),
                                InputRole.POOLED, random(ROWS * WIDTH),
                                InputRole.PLACE, filled(ROWS * 6, 256),
                                InputRole.TOKEN_WEIGHTS, filled(ROWS * TOKENS, 1f / TOKENS)),
                        null,
                        List.of(),
                        noise,
                        maps);
    }

    private MemorySegment random(long count) {
        MemorySegment values = memory.floats(count, "tensor");
        for (long i = 0; i < count; i++) {
            values.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
        return values;
    }

    private MemorySegment filled(long count, float value) {
        MemorySegment values = memory.floats(count, "tensor");
        for (long i = 0; i < count; i++) {
            values.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        }
        return values;
    }

    @TearDown
    public void close() {
        binding.close();
        model.close();
        place.close();
        memory.close();
    }

    @Benchmark
    public void run(Clock clock) {
        clock.add(place.nanos(part.equals("unet") ? binding::run : this::kernels), 1);
    }

    /** Runs the kernels of one step in the order of stage 1, with the guide of the step before. */
    private void kernels() {
        Kernels k = place.kernels();
        k.interact(shuffled, sample, 0, VIEWS, latents, VIEWS, PLANE, 7, 3, 4, 0.5f, 2);
        k.mask(mask, 1, SIDE, SIDE, keyMaps, mapSides, mapSides, Kernels.NORM_MINMAX);
        // Every call is the same step: repeated ones would end at infinity.
        k.guidedStep(
                call.begin(step, VIEWS, CHANNELS, AREA)
                        .latents(next, shuffled)
                        .output(uncond, cond, 5)
                        .found(found)
                        .guidance(Kernels.GUIDE_LATENT, 1)
                        .key(guideOut)
                        .guide(guide, false)
                        .mask(mask, false));
        if (found.get(ValueLayout.JAVA_LONG, 0) != Kernels.NONE_FOUND) {
            throw new IllegalStateException("the UNet gave a non-finite value");
        }
    }
}
