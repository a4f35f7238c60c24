// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A stage at work. Its units are its calls, in the order of their views, and behind them one or more
 * that join them: the stage switch, or steps of the canvas.
 */
abstract class StageRun extends Units {
    final Stage stage;
    final List<Stage.Call> calls;

    /** Step whose predicted clean latents are wanted, -1: none; guarded by the board. */
    private int previewStep = -1;

    /** With one unit that joins. */
    StageRun(Stage stage, int viewBatch) {
        this(stage, viewBatch, 1);
    }

    /**
     * @param joins units that join
     */
    StageRun(Stage stage, int viewBatch, int joins) {
        super(stage.calls(viewBatch).size() + joins);
        this.stage = stage;
        this.calls = stage.calls(viewBatch);
    }

    @Override
    final String name() {
        return stage.name();
    }

    @Override
    final boolean joins(int unit) {
        return unit >= join();
    }

    @Override
    boolean sharedOut() {
        return true;
    }

    @Override
    final int views(int unit) {
        return joins(unit) ? 0 : calls.get(unit).count();
    }

    /** The unit that joins all calls, or the first one that joins some. */
    final int join() {
        return calls.size();
    }

    /** Steps of the stage that all calls have completed; under the board's lock. */
    int completedSteps() {
        int min = Integer.MAX_VALUE;
        for (int unit = 0; unit < calls.size(); unit++) {
            min = Math.min(min, done[unit]);
        }
        return min;
    }

    /** Steps whose result is there, made by all that join; under the board's lock. */
    int joinedSteps() {
        int min = Integer.MAX_VALUE;
        for (int unit = join(); unit < units(); unit++) {
            min = Math.min(min, done[unit]);
        }
        return min;
    }

    /** Whether nothing is left to do; under the board's lock. */
    final boolean ended() {
        for (int unit = join(); unit < units(); unit++) {
            if (done[unit] < total(unit)) {
                return false;
            }
        }
        return true;
    }

    /** Where the last latents are: [C, H, W]. */
    abstract Shared result();

    /** In host memory: latents after step {@code step}, as they are dumped: un-shuffled patches, or the canvas. */
    abstract MemorySegment latentsAfter(int step, Kernels kernels, Memory memory);

    /** Asks for the clean latents of a step no call has begun; under the board's lock. */
    final void requestPreview(int every) {
        int begun = 0;
        for (int unit = 0; unit < calls.size(); unit++) {
            begun = Math.max(begun, done[unit] + 1);
        }
        int step = Math.ceilDiv(begun + 1, every) * every - 1;
        previewStep = step < stage.steps() ? step : -1;
    }

    final int previewStep() {
        return previewStep;
    }

    /** Whether the requested preview is complete; under the board's lock. */
    final boolean previewReady() {
        return previewStep >= 0 && joinedSteps() > previewStep;
    }

    /** Predicted clean latents [C, H, W] of the requested preview in host memory, once ready. */
    abstract MemorySegment previewCanvas(Kernels kernels);
}
