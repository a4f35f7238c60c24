// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.StepRow;
import io.github.asg4j.schedule.Schedule;

import java.lang.foreign.MemorySegment;

/**
 * The schedule as the kernels read it: one {@link StepRow} per step, and beside each a row whose
 * "step" gives the predicted clean latents, (x - sigma e) / alpha, for previews.
 */
public final class ScheduleTable {
    final MemorySegment[] rows;
    final MemorySegment[] cleanRows;

    public ScheduleTable(Schedule schedule, Memory memory) {
        int steps = schedule.steps();
        MemorySegment all = memory.allocate(schedule.bytes(), "schedule");
        MemorySegment clean = memory.allocate(schedule.bytes(), "schedule of clean latents");
        schedule.write(all, 0);
        clean.copyFrom(all);
        rows = new MemorySegment[steps];
        cleanRows = new MemorySegment[steps];
        for (int k = 0; k < steps; k++) {
            rows[k] = all.asSlice(k * StepRow.BYTES, StepRow.BYTES);
            cleanRows[k] = clean.asSlice(k * StepRow.BYTES, StepRow.BYTES);
            float invAlpha = StepRow.get(rows[k], StepRow.INV_ALPHA);
            StepRow.set(cleanRows[k], StepRow.STEP_X, invAlpha);
            StepRow.set(
                    cleanRows[k], StepRow.STEP_E, -StepRow.get(rows[k], StepRow.SIGMA) * invAlpha);
            StepRow.set(cleanRows[k], StepRow.STEP_N, 0);
        }
    }

    public float alpha(int k) {
        return StepRow.get(rows[k], StepRow.ALPHA);
    }

    public float sigma(int k) {
        return StepRow.get(rows[k], StepRow.SIGMA);
    }

    public float inScale(int k) {
        return StepRow.get(rows[k], StepRow.IN_SCALE);
    }

    public float timestep(int k) {
        return StepRow.get(rows[k], StepRow.TIMESTEP);
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
        return StepRow.get(rows[k], StepRow.STEP_N) != 0;
    }
}
