// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * One row of a schedule as the kernels read it (§2, §4): 16 float32, the C struct {@code asg_step}.
 * x = alpha * x0 + sigma * noise; network input inScale * x; noise estimate predM * m + predX * x;
 * step stepX * x + stepE * e + stepN * n + the sum of stepPast[j] * D_j over past predictions, of the
 * clean latents or of e.
 */
public final class StepRow {
    public static final int TIMESTEP = 0;
    public static final int ALPHA = 1;
    public static final int SIGMA = 2;
    public static final int IN_SCALE = 3;
    public static final int PRED_M = 4;
    public static final int PRED_X = 5;
    public static final int STEP_X = 6;
    public static final int STEP_E = 7;
    public static final int STEP_N = 8;

    /** 1/alpha. */
    public static final int INV_ALPHA = 9;

    /** alpha/sigma. */
    public static final int KAPPA = 10;

    /** Weights of past predictions, the latest first. */
    public static final int STEP_PAST = 11;

    /** How many past predictions a step can take. */
    public static final int MAX_PAST = 3;

    /** Not 0: what later steps take of this one is its estimate e, in place of the clean latents. */
    public static final int KEEP_E = 14;

    public static final int FLOATS = 16;
    public static final long BYTES = FLOATS * 4L;

    private StepRow() {}

    public static float get(MemorySegment row, int field) {
        return row.getAtIndex(ValueLayout.JAVA_FLOAT, field);
    }

    /** Weight of the prediction of {@code j + 1} steps before. */
    public static float past(MemorySegment row, int j) {
        return get(row, STEP_PAST + j);
    }

    /** Whether it weighs any past prediction. */
    static boolean remembers(MemorySegment row) {
        return past(row, 0) != 0 || past(row, 1) != 0 || past(row, 2) != 0;
    }

    public static void set(MemorySegment row, int field, float value) {
        row.setAtIndex(ValueLayout.JAVA_FLOAT, field, value);
    }
}
