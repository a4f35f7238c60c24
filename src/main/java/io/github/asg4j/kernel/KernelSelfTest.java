// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.device.Memory;
import io.github.asg4j.device.Queue;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Compares kernels with the Java ones on this machine, bit by bit: for {@code doctor}, so that a
 * miscompiled or damaged library is found before it draws.
 */
public final class KernelSelfTest {
    private static final int VIEWS = 3;
    private static final int CHANNELS = 4;
    private static final int HEIGHT = 13;
    private static final int WIDTH = 17;
    private static final long AREA = (long) HEIGHT * WIDTH;
    private static final long COUNT = VIEWS * CHANNELS * AREA;

    private static final List<Operation> OPERATIONS =
            List.of(
                    new Operation(
                            "normal",
                            (k, out, x, m, row) ->
                                    k.normal(
                                            out, COUNT, 42, 1L << 33, 7, Kernels.STEP_NOISE, 1.5f)),
                    new Operation(
                            "interact",
                            (k, out, x, m, row) -> {
                                MemorySegment sample = out.asSlice(COUNT / VIEWS * 4);
                                k.interact(
                                        out,
                                        sample,
                                        1,
                                        1,
                                        x,
                                        VIEWS,
                                        CHANNELS * AREA,
                                        42,
                                        3,
                                        4,
                                        0.3f,
                                        2);
                            }),
                    new Operation(
                            "guided_step",
                            (k, out, x, m, row) -> {
                                MemorySegment guide =
                                        out.asSlice((VIEWS - 1) * CHANNELS * AREA * 4);
                                k.guidedStep(
                                        out,
                                        guide,
                                        MemorySegment.NULL,
                                        x,
                                        x,
                                        m,
                                        guide,
                                        false,
                                        x.asSlice(0, AREA * 4),
                                        false,
                                        m,
                                        true,
                                        VIEWS - 1,
                                        CHANNELS,
                                        AREA,
                                        row,
                                        5,
                                        0.7f,
                                        Kernels.GUIDE_LATENT);
                            }),
                    new Operation(
                            "combine",
                            (k, out, x, m, row) -> {
                                // Infinities, and an index above all.
                                MemorySegment from = out.asSlice(COUNT / 3 * 4);
                                MemorySegment found = out.asSlice((COUNT - 2) * 4);
                                MemorySegment none = MemorySegment.NULL;
                                k.scaleShift(out, x, COUNT, 3e38f, 0);
                                k.scaleShift(found, x, 2, 0, 3e38f);
                                k.combine(out, found, none, from, COUNT / 3, 1);
                            }),
                    new Operation(
                            "mask",
                            (k, out, x, m, row) ->
                                    k.mask(
                                            out,
                                            VIEWS,
                                            HEIGHT,
                                            WIDTH,
                                            new MemorySegment[] {x, m},
                                            new int[] {5, HEIGHT},
                                            new int[] {3, WIDTH},
                                            Kernels.NORM_MINMAX)),
                    new Operation(
                            "scale_shift",
                            (k, out, x, m, row) -> k.scaleShift(out, x, COUNT, 0.18f, 0.06f)),
                    new Operation("moments", (k, out, x, m, row) -> k.moments(out, x, COUNT)),
                    new Operation(
                            "blur",
                            (k, out, x, m, row) -> {
                                MemorySegment work = out.asSlice(COUNT / 2 * 4);
                                k.blur(out, work, x, CHANNELS, HEIGHT, WIDTH, m, 5);
                            }));

    private KernelSelfTest() {}

    /**
     * The first operation whose bits differ from the Java kernels', or an empty string.
     *
     * @param queue that the kernels work on, by the calling thread
     */
    public static String firstDifference(Kernels kernels, Queue queue) {
        queue.enter();
        try (Memory memory = new Memory("kernel self-test");
                Memory own = queue.newMemory("kernel self-test")) {
            Kernels java = new JavaKernels();
            MemorySegment found = memory.floats(COUNT, "result");
            MemorySegment expected = memory.floats(COUNT, "expected");
            MemorySegment x = memory.floats(COUNT, "latents");
            MemorySegment m = memory.floats(COUNT, "noise");
            MemorySegment row = memory.allocate(StepRow.BYTES, "step");
            for (int field = 0; field < StepRow.FLOATS; field++) {
                StepRow.set(row, field, 0.3f + 0.1f * field);
            }
            java.normal(x, COUNT, 1, 0, 0, Kernels.INITIAL_NOISE, 2);
            java.normal(m, COUNT, 1, 0, 1, Kernels.STEP_NOISE, 1);
            MemorySegment ownX = own.floats(COUNT, "latents");
            MemorySegment ownM = own.floats(COUNT, "noise");
            MemorySegment out = own.floats(COUNT, "result");
            queue.write(ownX, x);
            queue.write(ownM, m);
            for (Operation operation : OPERATIONS) {
                operation.call().run(kernels, out, ownX, ownM, row);
                queue.read(found, out);
                operation.call().run(java, expected, x, m, row);
                if (found.mismatch(expected) >= 0) {
                    return operation.name();
                }
            }
            return "";
        }
    }

    private record Operation(String name, Call call) {}

    private interface Call {
        void run(Kernels k, MemorySegment out, MemorySegment x, MemorySegment m, MemorySegment row);
    }
}
