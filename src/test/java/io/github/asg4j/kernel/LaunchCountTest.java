// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.device.CheckedCuda;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.DeviceBuffer;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.ffi.EmulatedCuda.Machine;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Launches between two UNet calls, the operations in the order of {@code run.PatchRun} and {@code
 * run.WindowRun}: at most {@value #LIMIT}. Each reads and writes tensors of its own device only,
 * which the checked driver sees to.
 */
class LaunchCountTest {
    private static final int LIMIT = 6;
    private static final int VIEWS = 4;
    private static final int PATCHES = 9;
    private static final int CHANNELS = 4;
    private static final int SIDE = 16;
    private static final long AREA = SIDE * SIDE;
    private static final long PLANE = CHANNELS * AREA;

    /** Floats of any tensor here. */
    private static final long SIZE = PATCHES * PLANE * 2;

    private static final MemorySegment NONE = MemorySegment.NULL;

    /** Of one call of stage 1: of its latents come its input, of its noise its next latents. */
    private void patches(Kernels k, Call call, Tensors t) {
        if (call.gathers) {
            k.interact(t.latents, t.sample, 0, VIEWS, t.frame, PATCHES, PLANE, 7, 3, 4, 0.5f, 2);
        } else {
            k.modelInput(t.sample, t.latents, VIEWS * PLANE, 0.5f, 2);
        }
        if (call.stochastic) {
            k.normal(t.random, VIEWS * PLANE, 7, 0, 3, Kernels.STEP_NOISE, 1);
        }
        int masks = call.ownMask ? VIEWS : call.key ? 1 : 0;
        if (masks > 0) {
            MemorySegment[] maps = {t.map0, t.map1};
            int[] sides = {SIDE / 4, SIDE / 2};
            k.mask(t.mask, masks, SIDE, SIDE, maps, sides, sides, Kernels.NORM_MINMAX);
        }
        if (call.ownGuide) {
            enlarge(k, t);
        }
        StepRow.set(t.step, StepRow.STEP_N, call.stochastic ? 0.2f : 0);
        GuidedStep step =
                new GuidedStep()
                        .begin(t.step, VIEWS, CHANNELS, AREA)
                        .latents(t.next, t.latents)
                        .output(
                                t.noise.asSlice(0, VIEWS * PLANE * 4),
                                t.noise.asSlice(VIEWS * PLANE * 4),
                                5)
                        .found(t.found)
                        .noise(call.stochastic ? t.random : NONE)
                        .guidance(Kernels.GUIDE_LATENT, 1)
                        .guide(t.guide, call.ownGuide)
                        .mask(t.mask, call.ownMask);
        k.guidedStep(call.key ? step.key(t.guideOut) : step);
    }

    /** A guide of every view, as {@code run.UpsampledGuide} makes them. */
    private void enlarge(Kernels k, Tensors t) {
        MemorySegment index = t.starts;
        k.resampleCut(
                t.next, t.frame, t.latents, t.guide, CHANNELS, SIDE, SIDE, 3, 3, SIDE, SIDE, index,
                t.weights, 1, index, t.weights, 1);
        k.interact(t.guide, NONE, 0, VIEWS, t.next, PATCHES, PLANE, 7, Kernels.UNSHUFFLED, 4, 1, 1);
    }

    /** Of one call of stage 2, and of the step that follows the last call. */
    private void windows(Kernels k, Tensors t) {
        k.gatherWindows(
                t.sample, t.frame, CHANNELS, SIDE, SIDE, t.starts, VIEWS, SIDE, SIDE, 0.5f, 2);
        MemorySegment cond = t.noise.asSlice(VIEWS * PLANE * 4);
        k.combine(t.next, t.found, t.noise, cond, VIEWS * PLANE, 5);
        StepRow.set(t.step, StepRow.STEP_N, 0);
        k.windowStep(
                new WindowStep()
                        .begin(t.step, CHANNELS, SIDE, SIDE)
                        .canvas(t.frame, t.frame)
                        .windows(t.next, t.starts, VIEWS, SIDE, SIDE)
                        .weights(t.weights, t.weights));
    }

    private record Call(
            boolean key, boolean gathers, boolean ownMask, boolean ownGuide, boolean stochastic) {}

    @ParameterizedTest(
            name =
                    "key {0}, gathers {1}, own masks {2}, own guides {3}, stochastic {4}: {5}"
                            + " launches")
    @CsvSource({
        // key, gathers, own masks, own guides, stochastic, launches
        "true, true, false, false, false, 3",
        "true, true, true, false, false, 3",
        "true, true, false, false, true, 4",
        "true, false, false, false, false, 3",
        "false, true, false, false, false, 2",
        "false, true, true, false, false, 3",
        "false, true, false, false, true, 3",
        "false, true, true, false, true, 4",
        "false, false, false, false, false, 2",
        "false, true, false, true, false, 4",
        "false, false, false, true, false, 4",
    })
    void callsOfStage1(
            boolean key,
            boolean gathers,
            boolean ownMask,
            boolean ownGuide,
            boolean stochastic,
            int launches) {
        Call call = new Call(key, gathers, ownMask, ownGuide, stochastic);
        check(launches, (k, t) -> patches(k, call, t));
    }

    @Test
    void callsOfStage2() {
        check(3, this::windows);
    }

    private interface Work {
        void run(Kernels kernels, Tensors tensors);
    }

    private static void check(int launches, Work work) {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        try (CudaDevice device = CudaDevice.open(api, 0);
                Arena arena = Arena.ofConfined();
                CudaStream stream = device.newStream();
                Tensors tensors = new Tensors(device, arena);
                CudaKernels kernels = new CudaKernels(stream, EmulatedKernels.program(device))) {
            tensors.buffers.forEach(
                    b -> stream.fill(b.segment(), (byte) 0, b.segment().byteSize()));
            work.run(kernels, tensors);
            List<String> names = api.launches().stream().map(CheckedCuda.Launch::kernel).toList();
            assertEquals(launches, names.size(), names::toString);
            assertTrue(launches <= LIMIT, names::toString);
            stream.synchronize();
        }
        assertEquals(0, EmulatedCuda.left());
    }

    private static final class Tensors implements AutoCloseable {
        final List<DeviceBuffer> buffers = new ArrayList<>();
        final MemorySegment frame;
        final MemorySegment latents;
        final MemorySegment sample;
        final MemorySegment noise;
        final MemorySegment found;
        final MemorySegment random;
        final MemorySegment mask;
        final MemorySegment map0;
        final MemorySegment map1;
        final MemorySegment guide;
        final MemorySegment guideOut;
        final MemorySegment next;
        final MemorySegment starts;
        final MemorySegment weights;
        final MemorySegment step;

        Tensors(CudaDevice device, Arena arena) {
            frame = tensor(device);
            latents = tensor(device);
            sample = tensor(device);
            noise = tensor(device);
            found = tensor(device);
            random = tensor(device);
            mask = tensor(device);
            map0 = tensor(device);
            map1 = tensor(device);
            guide = tensor(device);
            guideOut = tensor(device);
            next = tensor(device);
            starts = tensor(device);
            weights = tensor(device);
            step = arena.allocate(StepRow.BYTES, 4);
        }

        private MemorySegment tensor(CudaDevice device) {
            buffers.add(device.allocate(SIZE * 4, "tensor"));
            return buffers.getLast().segment();
        }

        @Override
        public void close() {
            buffers.forEach(DeviceBuffer::close);
        }
    }
}
