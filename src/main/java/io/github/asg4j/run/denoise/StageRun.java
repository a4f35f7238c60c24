// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.SharedTensor;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A stage at work. Its units are its calls, in the order of their views, and behind them one or more
 * that join them: the stage switch, or steps of the canvas.
 */
public abstract class StageRun extends WorkUnits {
    private final Stage stage;
    private final List<Stage.Call> calls;

    /** Step whose predicted clean latents are wanted, -1: none; guarded by the scheduler. */
    private int previewStep = -1;

    /** A stage with one unit that joins. */
    protected StageRun(Stage stage, int viewBatch) {
        this(stage, viewBatch, 1);
    }

    /**
     * @param joins units that join
     */
    protected StageRun(Stage stage, int viewBatch, int joins) {
        super(stage.calls(viewBatch).size() + joins);
        this.stage = stage;
        this.calls = stage.calls(viewBatch);
    }

    public final Stage stage() {
        return stage;
    }

    protected final List<Stage.Call> calls() {
        return calls;
    }

    @Override
    public final String name() {
        return stage.name();
    }

    @Override
    public final boolean joins(int unit) {
        return unit >= join();
    }

    @Override
    public boolean sharedOut() {
        return true;
    }

    @Override
    public final int views(int unit) {
        return joins(unit) ? 0 : calls.get(unit).count();
    }

    /** The unit that joins all calls, or the first one that joins some. */
    public final int join() {
        return calls.size();
    }

    /** Steps of the stage that all calls have completed. */
    public int completedSteps(Progress progress) {
        int min = Integer.MAX_VALUE;
        for (int unit = 0; unit < calls.size(); unit++) {
            min = Math.min(min, progress.completed(unit));
        }
        return min;
    }

    /** Steps whose result is there, made by all that join. */
    public int joinedSteps(Progress progress) {
        int min = Integer.MAX_VALUE;
        for (int unit = join(); unit < units(); unit++) {
            min = Math.min(min, progress.completed(unit));
        }
        return min;
    }

    /** Whether nothing is left to do. */
    public final boolean ended(Progress progress) {
        for (int unit = join(); unit < units(); unit++) {
            if (progress.completed(unit) < total(unit)) {
                return false;
            }
        }
        return true;
    }

    /** Where the last latents are: [C, H, W]. */
    public abstract SharedTensor result();

    /** In host memory: latents after step {@code step}, as they are dumped: un-shuffled patches, or the canvas. */
    public abstract MemorySegment latentsAfter(int step, Kernels kernels, Memory memory);

    /** Asks for the clean latents of a step no call has begun. */
    public final void requestPreview(int every, Progress progress) {
        int begun = 0;
        for (int unit = 0; unit < calls.size(); unit++) {
            begun = Math.max(begun, progress.completed(unit) + 1);
        }
        int step = Math.ceilDiv(begun + 1, every) * every - 1;
        previewStep = step < stage.steps() ? step : -1;
    }

    public final int previewStep() {
        return previewStep;
    }

    /** Whether the requested preview is complete. */
    public final boolean previewReady(Progress progress) {
        return previewStep >= 0 && joinedSteps(progress) > previewStep;
    }

    /** Predicted clean latents [C, H, W] of the requested preview in host memory, once ready. */
    public abstract MemorySegment previewCanvas(Kernels kernels);
}
