// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.StepHistory;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * A phase of DemoFusion (arXiv 2311.16973; SPEC §9): calls of local windows and of dilated views,
 * and one join a step, which ends the step before and prepares the next. The join has one step more
 * than the calls: its first enlarges the phase before.
 */
public final class DemoFusionPhaseRun extends StageRun {
    /** The one strip of the local windows' canvas. */
    private static final int CANVAS = 0;

    private static final int FLOATS_OF_MOMENTS = 2 * Double.BYTES / Float.BYTES;

    private final Stage.Phase phase;
    private final ScheduleTable table;
    private final long seed;
    private final int channels;
    private final int height;
    private final int width;
    private final long plane;
    private final WindowViews local;
    private final DilatedViews dilated;
    private final Predictions localPredictions;
    private final Predictions dilatedPredictions;
    private final int localCalls;

    /** [C, h, w], what the phase before gave, and float64 [2], the moments of the first one. */
    private final SharedTensor previous;

    private final SharedTensor anchor;
    private final boolean first;
    private final ResampleAxis enlargeY;
    private final ResampleAxis enlargeX;
    private final Memory memory;

    /** [C, H, W]: the phase before at this size, and the noise that noises it at every step. */
    private final SharedTensor enlarged;

    private final SharedTensor noise;

    /** [C, H, W] that step k starts from at index k % 2: a join reads one and writes the other. */
    private final SharedTensor[] x = new SharedTensor[2];

    /** The canvas [C, H, W] after step k at index k % length. */
    private final SharedTensor[] latents;

    private final SharedTensor out;
    private final SharedTensor preview;
    private final SharedTensor blurred;
    private final SharedTensor scratch;
    private final SharedTensor moments;
    private final SharedTensor blurredMoments;

    /** Float32 [2s - 1] of every step. */
    private final SharedTensor[] taps;

    /**
     * @param previous [C, h, w], the result of the phase before, or of a start picture's encoder
     * @param anchor float64 [2], moments that every phase ends with
     * @param first whether this is the first phase, which measures the anchor
     */
    public DemoFusionPhaseRun(
            Stage.Phase phase,
            StageContext context,
            SharedTensor previous,
            SharedTensor anchor,
            boolean first) {
        super(phase, context.viewBatch());
        this.phase = phase;
        table = context.table();
        seed = context.seed();
        Workers workers = context.workers();
        this.previous = previous;
        this.anchor = anchor;
        this.first = first;
        channels = context.canvas().channels();
        height = phase.local().y().canvas();
        width = phase.local().x().canvas();
        plane = (long) channels * height * width;
        memory = workers.memory();
        int before = Math.max(1, phase.number() - 1);
        enlargeY = ResampleAxis.bicubic(memory, before * phase.dilatedHeight(), height);
        enlargeX = ResampleAxis.bicubic(memory, before * phase.dilatedWidth(), width);
        List<Stage.Call> windowCalls = new ArrayList<>();
        List<Stage.Call> dilatedCalls = new ArrayList<>();
        int windows = phase.local().views();
        for (Stage.Call call : calls()) {
            if (call.first() < windows) {
                windowCalls.add(call);
            } else {
                dilatedCalls.add(new Stage.Call(call.first() - windows, call.count(), call.room()));
            }
        }
        localCalls = windowCalls.size();
        int counter = phase.steps() * (phase.number() - 1);
        MemorySegment starts = WindowViews.starts(phase.local(), seed, counter, memory);
        local =
                new WindowViews(
                        phase.local(),
                        null,
                        windowCalls,
                        context,
                        counter,
                        null,
                        WindowViews.onePrompt(phase.local()),
                        starts,
                        CanvasStrips.whole(phase.local(), windowCalls, starts));
        dilated = new DilatedViews(phase, dilatedCalls, context);
        enlarged = workers.floats(plane, "enlarged phase");
        noise = workers.floats(plane, "phase noise");
        x[0] = workers.floats(plane, "canvas");
        x[1] = workers.floats(plane, "canvas");
        latents = new SharedTensor[context.keep().history() ? phase.steps() : 1];
        for (int i = 0; i < latents.length; i++) {
            latents[i] = workers.floats(plane, "canvas");
        }
        out = workers.floats(plane, "phase");
        preview = workers.floats(context.keep().previews() ? plane : 0, "preview");
        blurred = workers.floats(plane, "blurred canvas");
        scratch = workers.floats(plane, "scratch");
        moments = workers.floats(FLOATS_OF_MOMENTS, "moments");
        blurredMoments = workers.floats(FLOATS_OF_MOMENTS, "moments");
        localPredictions = predictions(context);
        dilatedPredictions = predictions(context);
        taps = taps(workers);
    }

    /**
     * Of one of the two paths. While most of the canvas comes from the phase before, what the last step
     * predicted is of another course.
     */
    private Predictions predictions(StageContext context) {
        return new Predictions(
                context,
                phase,
                k -> phase.course().skip(table.timestep(k)) > 0.5,
                () -> context.workers().floats(plane, "past prediction"));
    }

    private SharedTensor[] taps(Workers workers) {
        SharedTensor[] steps = new SharedTensor[phase.steps()];
        for (int k = 0; k < steps.length; k++) {
            double[] weights = phase.course().blurTaps(phase.number(), table.timestep(k));
            MemorySegment floats = memory.floats(weights.length, "blur");
            for (int i = 0; i < weights.length; i++) {
                floats.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) weights[i]);
            }
            steps[k] = workers.of(floats, "blur");
        }
        return steps;
    }

    @Override
    public int total(int unit) {
        return unit == join() ? phase.steps() + 1 : phase.steps();
    }

    @Override
    public boolean ready(int unit, Progress progress) {
        return unit == join()
                ? completedSteps(progress) == progress.completed(join())
                : progress.completed(unit) < progress.completed(join());
    }

    @Override
    public int joinedSteps(Progress progress) {
        return progress.completed(join()) - 1;
    }

    @Override
    public boolean execute(Worker worker, int unit, int step) {
        if (unit == join()) {
            worker.beginKernels();
            join(worker, step);
            worker.endKernels();
        } else if (unit < localCalls) {
            x[step % 2].acquire(worker, 0);
            local.denoise(worker, unit, step, x[step % 2]);
        } else {
            dilated.denoise(worker, unit - localCalls, step);
        }
        return true;
    }

    /** Ends step k - 1 and prepares step k. */
    private void join(Worker worker, int k) {
        if (k == 0) {
            begin(worker);
        } else {
            step(worker, k - 1);
        }
        if (k == phase.steps()) {
            end(worker);
        } else {
            prepare(worker, k);
        }
    }

    private void begin(Worker worker) {
        Kernels kernels = worker.kernels();
        previous.acquireAll(worker);
        worker.resize(channels, enlargeY, enlargeX)
                .run(kernels, enlarged.on(worker), previous.on(worker));
        kernels.normal(noise.on(worker), plane, seed, 0, phase.number(), Kernels.PHASE_NOISE, 1);
        if (first) {
            kernels.moments(anchor.on(worker), previous.on(worker), previous.byteSize() / 4);
            anchor.publish(worker, 0);
        }
    }

    /** What the calls of step k read: the canvas after the skip residual, and its dilated views. */
    private void prepare(Worker worker, int k) {
        Kernels kernels = worker.kernels();
        MemorySegment next = x[k % 2].on(worker);
        MemorySegment before = enlarged.on(worker);
        MemorySegment random = noise.on(worker);
        if (k == 0) {
            kernels.blend(next, before, random, plane, table.alpha(k), table.sigma(k));
        } else {
            MemorySegment noised = scratch.on(worker);
            kernels.blend(noised, before, random, plane, table.alpha(k), table.sigma(k));
            double c1 = phase.course().skip(table.timestep(k));
            MemorySegment last = after(k - 1).on(worker);
            kernels.blend(next, last, noised, plane, (float) (1 - c1), (float) c1);
        }
        x[k % 2].publish(worker, 0);
        int n = 2 * phase.number() - 1;
        MemorySegment soft = blurred.on(worker);
        MemorySegment weights = taps[k].on(worker);
        kernels.blur(soft, scratch.on(worker), next, channels, height, width, weights, n);
        MemorySegment wanted = moments.on(worker);
        MemorySegment found = blurredMoments.on(worker);
        kernels.moments(wanted, next, plane);
        kernels.moments(found, soft, plane);
        kernels.matchMoments(soft, soft, plane, found, wanted);
        dilated.cut(worker, soft);
    }

    private void step(Worker worker, int k) {
        local.gather(worker, CANVAS, k);
        dilated.gather(worker);
        localPredictions.acquire(worker, k, 0);
        dilatedPredictions.acquire(worker, k, 0);
        fuse(
                worker,
                after(k),
                k,
                localPredictions.row(k),
                local.stepNoise(worker, CANVAS, k),
                localPredictions.history(worker, k),
                dilatedPredictions.history(worker, k));
        localPredictions.publish(worker, k, 0);
        dilatedPredictions.publish(worker, k, 0);
        if (previewStep() == k) {
            StepHistory none = StepHistory.NONE;
            fuse(worker, preview, k, table.cleanRows[k], MemorySegment.NULL, none, none);
        }
    }

    /** The weighted sum of the step by the local windows and of that by the dilated views. */
    private void fuse(
            Worker worker,
            SharedTensor to,
            int k,
            MemorySegment row,
            MemorySegment random,
            StepHistory localHistory,
            StepHistory dilatedHistory) {
        MemorySegment fused = to.on(worker);
        MemorySegment from = x[k % 2].on(worker);
        MemorySegment other = blurred.on(worker);
        local.step(worker, CANVAS, fused, from, k, row, random, localHistory);
        dilated.step(worker, other, from, scratch.on(worker), row, random, dilatedHistory);
        double c2 = phase.course().dilated(table.timestep(k));
        worker.kernels().blend(fused, fused, other, plane, (float) (1 - c2), (float) c2);
        to.publish(worker, 0);
    }

    private void end(Worker worker) {
        MemorySegment last = after(phase.steps() - 1).on(worker);
        MemorySegment found = moments.on(worker);
        anchor.acquire(worker, 0);
        worker.kernels().moments(found, last, plane);
        worker.kernels().matchMoments(out.on(worker), last, plane, found, anchor.on(worker));
        out.publish(worker, 0);
    }

    private SharedTensor after(int k) {
        return latents[k % latents.length];
    }

    @Override
    public SharedTensor result() {
        return out;
    }

    @Override
    public MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        return after(step).read(memory);
    }

    @Override
    public MemorySegment previewCanvas(Kernels kernels) {
        return preview.read(memory);
    }
}
