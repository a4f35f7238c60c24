// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.StepRow;
import io.github.asg4j.schedule.Schedule;

import java.lang.foreign.MemorySegment;

/**
 * The schedule as the kernels read it: {@link StepRow}s per step, and beside them one whose
 * "step" gives the predicted clean latents, (x - sigma e) / alpha, for previews.
 */
public final class ScheduleTable {
    /** By past predictions that they take, and by step. */
    private final MemorySegment[][] rows;

    final MemorySegment[] cleanRows;

    public ScheduleTable(Schedule schedule, Memory memory) {
        rows = new MemorySegment[schedule.solver().history() + 1][];
        for (int past = 0; past < rows.length; past++) {
            rows[past] = rows(schedule, past, memory);
        }
        cleanRows = rows(schedule, 0, memory);
        for (MemorySegment row : cleanRows) {
            float invAlpha = StepRow.get(row, StepRow.INV_ALPHA);
            StepRow.set(row, StepRow.STEP_X, invAlpha);
            StepRow.set(row, StepRow.STEP_E, -StepRow.get(row, StepRow.SIGMA) * invAlpha);
            StepRow.set(row, StepRow.STEP_N, 0);
        }
    }

    private static MemorySegment[] rows(Schedule schedule, int past, Memory memory) {
        MemorySegment all = memory.allocate(schedule.bytes(), "schedule");
        schedule.write(all, past);
        MemorySegment[] rows = new MemorySegment[schedule.steps()];
        for (int k = 0; k < rows.length; k++) {
            rows[k] = all.asSlice(k * StepRow.BYTES, StepRow.BYTES);
        }
        return rows;
    }

    /** How many past predictions a step takes at most. */
    public int history() {
        return rows.length - 1;
    }

    /**
     * Row of step {@code k} of the schedule.
     *
     * @param past predictions that there are, at most {@link #history()}
     */
    MemorySegment row(int k, int past) {
        return rows[past][k];
    }

    /**
     * Row of step {@code k} whose "step" gives the noise estimate.
     *
     * @param memory owns the result
     */
    MemorySegment estimateRow(int k, Memory memory) {
        MemorySegment row = copy(k, 0, memory);
        StepRow.set(row, StepRow.STEP_X, 0);
        StepRow.set(row, StepRow.STEP_E, 1);
        StepRow.set(row, StepRow.STEP_N, 0);
        return row;
    }

    /**
     * Row of step {@code k} for a noise estimate in the place of the network's output.
     *
     * @param past predictions that there are, at most {@link #history()}
     * @param memory owns the result
     */
    MemorySegment estimatedRow(int k, int past, Memory memory) {
        MemorySegment row = copy(k, past, memory);
        StepRow.set(row, StepRow.PRED_M, 1);
        StepRow.set(row, StepRow.PRED_X, 0);
        return row;
    }

    private MemorySegment copy(int k, int past, Memory memory) {
        return memory.allocate(StepRow.BYTES, "schedule").copyFrom(rows[past][k]);
    }

    /** 1 / c of x = c * x0 + sigma * e. */
    float perClean(int k) {
        return get(k, StepRow.INV_ALPHA);
    }

    /** c / sigma. */
    float kappa(int k) {
        return get(k, StepRow.KAPPA);
    }

    /** What is the same in all rows of a step. */
    private float get(int k, int field) {
        return StepRow.get(rows[0][k], field);
    }

    public float alpha(int k) {
        return get(k, StepRow.ALPHA);
    }

    public float sigma(int k) {
        return get(k, StepRow.SIGMA);
    }

    public float inScale(int k) {
        return get(k, StepRow.IN_SCALE);
    }

    public float timestep(int k) {
        return get(k, StepRow.TIMESTEP);
    }

    /** Whether any of so many steps adds noise. */
    public boolean stochastic(int first, int steps) {
        for (int k = first; k < first + steps; k++) {
            if (stochastic(k)) {
                return true;
            }
        }
        return false;
    }

    public boolean stochastic(int k) {
        return get(k, StepRow.STEP_N) != 0;
    }
}
