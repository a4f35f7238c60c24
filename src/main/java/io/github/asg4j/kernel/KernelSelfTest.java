// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.device.Memory;
import io.github.asg4j.device.Queue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Compares all kernels with the Java ones on this machine, bit by bit: for {@code doctor}, so that a
 * miscompiled or damaged library is found before it draws.
 */
public final class KernelSelfTest {
    private static final int VIEWS = 3;
    private static final int CHANNELS = 4;
    private static final int HEIGHT = 13;
    private static final int WIDTH = 17;
    private static final long AREA = (long) HEIGHT * WIDTH;
    private static final long COUNT = VIEWS * CHANNELS * AREA;

    /** Cells of a table of indices below 7, behind which as many zeros lie. */
    private static final int TABLE = 64;

    private static final List<Operation> OPERATIONS =
            List.of(
                    new Operation(
                            "normal",
                            (k, out, x, m, table, row) ->
                                    k.normal(
                                            out, COUNT, 42, 1L << 33, 7, Kernels.STEP_NOISE, 1.5f)),
                    new Operation(
                            "interact",
                            (k, out, x, m, table, row) -> {
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
                            (k, out, x, m, table, row) -> {
                                MemorySegment guide =
                                        out.asSlice((VIEWS - 1) * CHANNELS * AREA * 4);
                                GuidedStep step = new GuidedStep();
                                k.guidedStep(
                                        step.begin(row, VIEWS - 1, CHANNELS, AREA)
                                                .latents(out, x)
                                                .output(x, m, 5)
                                                .noise(m)
                                                .guidance(Kernels.GUIDE_LATENT, 0.7f)
                                                .key(guide)
                                                .guide(guide, false)
                                                .mask(x.asSlice(0, AREA * 4), false));
                                // The view that was guided steps once more, with a history.
                                MemorySegment guided = out.asSlice(CHANNELS * AREA * 4);
                                MemorySegment past = row.asSlice(StepRow.BYTES);
                                MemorySegment none = MemorySegment.NULL;
                                k.guidedStep(
                                        step.begin(past, 1, CHANNELS, AREA)
                                                .latents(guided, guided)
                                                .output(x, m, 5)
                                                .noise(m)
                                                .history(new StepHistory(none, x, m, x)));
                            }),
                    new Operation(
                            "combine",
                            (k, out, x, m, table, row) -> {
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
                            (k, out, x, m, table, row) ->
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
                            (k, out, x, m, table, row) ->
                                    k.scaleShift(out, x, COUNT, 0.18f, 0.06f)),
                    new Operation(
                            "model_input",
                            (k, out, x, m, table, row) -> k.modelInput(out, x, COUNT / 2, 0.7f, 2)),
                    new Operation(
                            "gather_windows",
                            (k, out, x, m, table, row) ->
                                    k.gatherWindows(
                                            out, x, CHANNELS, HEIGHT, WIDTH, table, VIEWS, 5, 7,
                                            0.7f, 2)),
                    new Operation(
                            "window_step",
                            (k, out, x, m, table, row) ->
                                    // All windows begin at the canvas's first cell.
                                    k.windowStep(
                                            new WindowStep()
                                                    .begin(
                                                            row.asSlice(StepRow.BYTES),
                                                            CHANNELS,
                                                            HEIGHT,
                                                            WIDTH)
                                                    .rows(2, HEIGHT - 3)
                                                    .canvas(out, m)
                                                    .windows(
                                                            x,
                                                            table.asSlice(TABLE * 4),
                                                            VIEWS,
                                                            HEIGHT,
                                                            WIDTH)
                                                    .weights(m, x)
                                                    .noise(m.asSlice(CHANNELS * AREA * 4))
                                                    .history(
                                                            new StepHistory(
                                                                    out.asSlice(
                                                                            CHANNELS * AREA * 4),
                                                                    x,
                                                                    m,
                                                                    x)))),
                    new Operation(
                            "relocate",
                            (k, out, x, m, table, row) ->
                                    k.relocate(out, x, CHANNELS, 3, 1, HEIGHT, WIDTH)),
                    new Operation(
                            "cut",
                            (k, out, x, m, table, row) ->
                                    k.cut(out, x, CHANNELS, 3, 1, HEIGHT, WIDTH)),
                    new Operation(
                            "add_tile",
                            (k, out, x, m, table, row) -> {
                                MemorySegment weights = out.asSlice(CHANNELS * AREA * 4);
                                k.scaleShift(out, x, COUNT, 0.5f, 2);
                                k.addTile(
                                        out, weights, CHANNELS, HEIGHT, WIDTH, m, 2, 3, 7, 9, x, m);
                            }),
                    new Operation(
                            "divide_tiles",
                            (k, out, x, m, table, row) -> {
                                k.scaleShift(out, x, COUNT, 0.5f, 2);
                                k.divideTiles(out, m, CHANNELS, AREA);
                            }),
                    new Operation(
                            "rgb8",
                            (k, out, x, m, table, row) ->
                                    k.rgb8(out, x, HEIGHT, WIDTH, 1, 2, HEIGHT - 2, WIDTH - 3)),
                    new Operation(
                            "blend",
                            (k, out, x, m, table, row) -> k.blend(out, x, m, COUNT, 0.3f, 0.7f)),
                    new Operation(
                            "moments", (k, out, x, m, table, row) -> k.moments(out, x, COUNT)),
                    new Operation(
                            "match_moments",
                            (k, out, x, m, table, row) -> {
                                MemorySegment from = out.asSlice((COUNT - 4) * 4);
                                MemorySegment to = out.asSlice((COUNT - 8) * 4);
                                k.moments(from, x, COUNT);
                                k.moments(to, m, COUNT / 2);
                                k.matchMoments(out, x, COUNT - 8, from, to);
                            }),
                    new Operation(
                            "resample",
                            (k, out, x, m, table, row) ->
                                    k.resample(
                                            out,
                                            out.asSlice(COUNT / 2 * 4),
                                            x,
                                            CHANNELS,
                                            7,
                                            9,
                                            11,
                                            13,
                                            table,
                                            x,
                                            4,
                                            table,
                                            m,
                                            4)),
                    new Operation(
                            "resample_cut",
                            (k, out, x, m, table, row) -> {
                                MemorySegment canvas = out.asSlice(COUNT / 3 * 4);
                                MemorySegment work = out.asSlice(COUNT * 2 / 3 * 4);
                                k.resampleCut(
                                        out, canvas, work, x, CHANNELS, 7, 9, 2, 1, 6, 11, table, x,
                                        4, table, m, 4);
                                // What these hold is nobody's business.
                                k.scaleShift(canvas, x, COUNT * 2 / 3, 1, 0);
                            }),
                    new Operation(
                            "first_non_finite",
                            (k, out, x, m, table, row) -> {
                                k.scaleShift(out, x, COUNT, 3e38f, 0);
                                float found = k.firstNonFinite(out, COUNT);
                                k.scaleShift(out, x, COUNT, 0, found);
                            }),
                    new Operation(
                            "blur",
                            (k, out, x, m, table, row) -> {
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
            MemorySegment row = memory.allocate(2 * StepRow.BYTES, "step");
            for (int field = 0; field < StepRow.FLOATS; field++) {
                float value = 0.3f + 0.1f * field;
                StepRow.set(row, field, field < StepRow.STEP_PAST ? value : 0);
                StepRow.set(row.asSlice(StepRow.BYTES), field, value);
            }
            java.normal(x, COUNT, 1, 0, 0, Kernels.INITIAL_NOISE, 2);
            java.normal(m, COUNT, 1, 0, 1, Kernels.STEP_NOISE, 1);
            MemorySegment table = memory.allocate(2 * TABLE * Integer.BYTES, "indices");
            for (int i = 0; i < TABLE; i++) {
                table.setAtIndex(ValueLayout.JAVA_INT, i, i * 5 % 7);
            }
            MemorySegment ownTable = own.allocate(table.byteSize(), "indices");
            queue.write(ownTable, table);
            MemorySegment ownX = own.floats(COUNT, "latents");
            MemorySegment ownM = own.floats(COUNT, "noise");
            MemorySegment out = own.floats(COUNT, "result");
            queue.write(ownX, x);
            queue.write(ownM, m);
            for (Operation operation : OPERATIONS) {
                operation.call().run(kernels, out, ownX, ownM, ownTable, row);
                queue.read(found, out);
                operation.call().run(java, expected, x, m, table, row);
                if (found.mismatch(expected) >= 0) {
                    return operation.name();
                }
            }
            return "";
        }
    }

    private record Operation(String name, Call call) {}

    /** {@code row}: two, without and with weights of past predictions. */
    private interface Call {
        void run(
                Kernels k,
                MemorySegment out,
                MemorySegment x,
                MemorySegment m,
                MemorySegment table,
                MemorySegment row);
    }
}
