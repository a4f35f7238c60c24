// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import java.lang.foreign.MemorySegment;

/**
 * What a solver with a memory reads and leaves in a step: predicted clean latents, D = (x - sigma *
 * e) / alpha with the guided estimate e, float32 in the shape and frame of the latents that are
 * stepped.
 *
 * @param clean receives those of this step; NULL: nobody needs them
 * @param past1 those of the step before, which {@link StepRow#STEP_PAST} weighs; NULL where the
 *     weight is 0
 * @param past2 those of the step before that, as {@code past1}
 * @param past3 one step further back
 */
public record StepHistory(
        MemorySegment clean, MemorySegment past1, MemorySegment past2, MemorySegment past3) {
    /** The history of a solver without memory. */
    public static final StepHistory NONE = new StepHistory(MemorySegment.NULL);

    /** Makes the history of a step that leaves its prediction and takes none. */
    public StepHistory(MemorySegment clean) {
        this(clean, MemorySegment.NULL);
    }

    /** Makes the history of a step with one past prediction. */
    public StepHistory(MemorySegment clean, MemorySegment past1) {
        this(clean, past1, MemorySegment.NULL, MemorySegment.NULL);
    }

    /** The prediction of {@code j + 1} steps before. */
    MemorySegment past(int j) {
        return switch (j) {
            case 0 -> past1;
            case 1 -> past2;
            case 2 -> past3;
            default -> throw new IndexOutOfBoundsException(j);
        };
    }

    /** What the kernel reads of {@link #past} {@code j}: NULL where the row gives it no weight. */
    MemorySegment read(int j, MemorySegment row) {
        return StepRow.past(row, j) == 0 ? MemorySegment.NULL : past(j);
    }

    /** Checks a tensor of {@code count} floats each, and that what the row weighs is there. */
    void check(MemorySegment row, long count, String operation) {
        KernelChecks.optionalFloats(clean, count, operation, "clean");
        KernelChecks.optionalFloats(past1, count, operation, "past1");
        KernelChecks.optionalFloats(past2, count, operation, "past2");
        KernelChecks.optionalFloats(past3, count, operation, "past3");
        for (int j = 0; j < StepRow.MAX_PAST; j++) {
            float weight = StepRow.past(row, j);
            if (weight != 0 && KernelChecks.isNull(past(j))) {
                throw new IllegalArgumentException(
                        operation
                                + ": past"
                                + (j + 1)
                                + " is NULL but stepPast["
                                + j
                                + "] is "
                                + weight
                                + "; pass the prediction, or a row that takes fewer");
            }
        }
    }
}
