// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.ffi.CudaDriver;
import io.github.asg4j.ffi.CudaLibraries;
import io.github.asg4j.kernel.CubinCache;
import io.github.asg4j.kernel.CudaKernels;
import io.github.asg4j.kernel.CudaProgram;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.StepRow;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/**
 * Bytes per second of the kernels on a GPU, as a share of a copy on the same device: {@code
 * benchmarks/gpu/bandwidth.sh [DEVICE [MB]]}. Each operation is launched many times on one stream
 * between two synchronisations; the bytes are those that it has to read and write, each once.
 */
public final class GpuBandwidth {
    private static final int LAUNCHES = 50;
    private static final int ROUNDS = 7;

    private final CudaStream stream;

    private GpuBandwidth(CudaStream stream) {
        this.stream = stream;
    }

    public static void main(String[] arguments) {
        int ordinal = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 0;
        long bytes = (arguments.length > 1 ? Long.parseLong(arguments[1]) : 64) << 20;
        try (CudaDevice device = CudaDevice.open(CudaDriver.open(), ordinal);
                CudaStream stream = device.newStream();
                Arena arena = Arena.ofConfined()) {
            CudaProgram program =
                    CudaProgram.load(device, new CudaLibraries(), CubinCache.ofUser());
            try (CudaKernels kernels = new CudaKernels(stream, program)) {
                System.out.println(device + ", tensors of " + (bytes >> 20) + " MB");
                new GpuBandwidth(stream).measure(device, kernels, bytes, arena);
            }
        }
    }

    private void measure(CudaDevice device, Kernels k, long bytes, Arena arena) {
        MemorySegment a = tensor(device, bytes);
        MemorySegment b = tensor(device, bytes);
        MemorySegment c = tensor(device, bytes);
        MemorySegment d = tensor(device, bytes);
        MemorySegment two = tensor(device, 2 * bytes);
        MemorySegment step = arena.allocate(StepRow.BYTES, 4);
        for (int field = 0; field < StepRow.FLOATS; field++) {
            StepRow.set(step, field, field == StepRow.STEP_N ? 0 : 0.5f);
        }
        long count = bytes / 4;
        int channels = 4;
        int views = 4;
        long area = count / (channels * views);
        MemorySegment guide = tensor(device, channels * area * 4);
        MemorySegment mask = tensor(device, area * 4);
        long small = channels * area * 4 + area * 4;

        double copy = rate(2 * bytes, () -> stream.copy(b, a, bytes));
        System.out.printf(Locale.ROOT, "| copy | %.0f GB/s | 100 %% |%n", copy);
        row("scaleShift", copy, 2 * bytes, () -> k.scaleShift(b, a, count, 0.5f, 0.1f));
        row("modelInput, 2 copies", copy, 3 * bytes, () -> k.modelInput(two, a, count, 0.5f, 2));
        row("combine", copy, 3 * bytes, () -> k.combine(c, a, b, count, 5));
        row("blend", copy, 3 * bytes, () -> k.blend(c, a, b, count, 0.5f, 0.5f));
        row(
                "guidedStep, latent space, mask",
                copy,
                4 * bytes + small,
                () ->
                        k.guidedStep(
                                d,
                                a,
                                b,
                                c,
                                guide,
                                mask,
                                false,
                                MemorySegment.NULL,
                                views,
                                channels,
                                area,
                                step,
                                5,
                                1,
                                Kernels.GUIDE_LATENT));
        row(
                "interact, 4 patches",
                copy,
                2 * bytes,
                () -> k.interact(b, 0, 4, a, 4, count / 4, 7, 3, 4));
        row("normal", copy, bytes, () -> k.normal(a, count, 7, 0, 0, Kernels.STEP_NOISE, 1));
        row("a launch", copy, 0, () -> k.scaleShift(a, a, 1, 1, 0));
    }

    private static MemorySegment tensor(CudaDevice device, long bytes) {
        return device.allocate(bytes, "tensor").segment();
    }

    private void row(String name, double copy, long bytes, Runnable launch) {
        if (bytes == 0) {
            System.out.printf(Locale.ROOT, "| %s | %.2f us | |%n", name, seconds(launch) * 1e6);
            return;
        }
        double rate = rate(bytes, launch);
        System.out.printf(
                Locale.ROOT, "| %s | %.0f GB/s | %.0f %% |%n", name, rate, 100 * rate / copy);
    }

    private double rate(long bytes, Runnable launch) {
        return bytes / seconds(launch) / 1e9;
    }

    /** Of one launch: the best of several rounds, after one that warms up. */
    private double seconds(Runnable launch) {
        double best = Double.MAX_VALUE;
        for (int round = 0; round <= ROUNDS; round++) {
            stream.synchronize();
            long start = System.nanoTime();
            for (int i = 0; i < LAUNCHES; i++) {
                launch.run();
            }
            stream.synchronize();
            double seconds = (System.nanoTime() - start) / 1e9 / LAUNCHES;
            best = round == 0 ? best : Math.min(best, seconds);
        }
        return best;
    }
}
