// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.StepHistory;
import io.github.asg4j.kernel.WindowStep;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Dilation;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.IntUnaryOperator;

/**
 * ScaleCrafter's dilated steps (SPEC.md §9): the whole canvas in one call, in the damped steps its
 * unconditional row in a second one, and a join that makes the scheduler step.
 */
public final class ScaleCrafterRun extends StageRun {
    private static final int MAIN = 0;
    private static final int DAMPED = 1;

    private final Stage.Dilated dilated;
    private final StageContext context;
    private final ScheduleTable table;
    private final Canvas canvas;
    private final long seed;
    private final float guidanceScale;

    /** The canvas [C, H, W] before step k at index k % length. */
    private final SharedTensor[] latents;

    /** Combined output of the main call [C, H, W]; in damped steps its two rows [2, C, H, W]. */
    private final SharedTensor main;

    private final SharedTensor rows;

    /** Unconditional output of the damped call [C, H, W], and all three together. */
    private final SharedTensor damped;

    private final SharedTensor guided;

    /** float32 [G] per step, in host memory. */
    private final MemorySegment[] factors;

    private final MemorySegment[] dampedFactors;
    private final SharedTensor start;
    private final SharedTensor weightY;
    private final SharedTensor weightX;
    private final SharedTensor stepNoise;
    private final SharedTensor preview;
    private final Memory memory;
    private final PerCall<DenoiserCall> prepared;
    private final PerWorker<WindowStep> steps;
    private final Predictions predictions;
    private final @Nullable ShownPhases shown;

    /**
     * @param context with the dilated denoiser
     * @param start [C, H, W], the canvas before the first step
     */
    public ScaleCrafterRun(Stage.Dilated dilated, StageContext context, SharedTensor start) {
        super(dilated, 1);
        this.dilated = dilated;
        this.context = context;
        table = context.table();
        canvas = context.canvas();
        seed = context.seed();
        Workers workers = context.workers();
        this.guidanceScale = (float) dilated.guidanceScale();
        long plane = canvas.plane();
        memory = workers.memory();
        latents = new SharedTensor[context.keep().history() ? dilated.steps() + 1 : 2];
        latents[0] = start;
        for (int i = 1; i < latents.length; i++) {
            latents[i] = workers.floats(plane, "canvas");
        }
        main = workers.floats(plane, "network output");
        boolean damps = dilated.dampedSteps() > 0;
        rows = workers.floats(damps ? 2 * plane : 0, "rows of the network output");
        damped = workers.floats(damps ? plane : 0, "damped network output");
        guided = workers.floats(damps ? plane : 0, "guided network output");
        factors = factors(dilated.dilation(), dilated.steps());
        dampedFactors = factors(dilated.damping(), dilated.dampedSteps());
        this.start = workers.of(memory.allocate(2 * Integer.BYTES, "window"), "window");
        weightY = workers.of(ones(canvas.height()), "window weights");
        weightX = workers.of(ones(canvas.width()), "window weights");
        boolean stochastic = table.stochastic(0, dilated.steps());
        stepNoise = workers.floats(stochastic ? plane : 0, "step noise");
        preview = workers.floats(context.keep().previews() ? plane : 0, "preview");
        shown =
                context.conditioning().shown().isEmpty()
                        ? null
                        : new ShownPhases(
                                context,
                                dilated,
                                1,
                                1,
                                canvas.height(),
                                canvas.width(),
                                k -> false);
        prepared = new PerCall<>(workers.size(), calls().size(), this::call);
        steps = new PerWorker<>(workers.size(), worker -> new WindowStep());
        predictions =
                new Predictions(
                        context,
                        dilated,
                        k -> !dilated.sameNetwork(k - 1, k),
                        () -> workers.floats(plane, "past prediction"));
    }

    private MemorySegment[] factors(Dilation dilation, int steps) {
        MemorySegment[] all = new MemorySegment[steps];
        for (int k = 0; k < steps; k++) {
            all[k] = memory.floats(dilated.groups().size(), "dilation");
            for (int g = 0; g < dilated.groups().size(); g++) {
                all[k].setAtIndex(
                        ValueLayout.JAVA_FLOAT, g, (float) dilation.at(dilated.groups().get(g), k));
            }
        }
        return all;
    }

    private MemorySegment ones(int n) {
        MemorySegment ones = memory.floats(n, "window weights");
        for (int i = 0; i < n; i++) {
            ones.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
        }
        return ones;
    }

    @Override
    public int total(int unit) {
        return unit == DAMPED && unit != join() ? dilated.dampedSteps() : dilated.steps();
    }

    @Override
    public boolean ready(int unit, Progress progress) {
        return unit == join()
                ? completedSteps(progress) > progress.completed(join())
                : progress.completed(unit) == progress.completed(join());
    }

    @Override
    public int completedSteps(Progress progress) {
        boolean waits =
                progress.completed(MAIN) - 1 < dilated.dampedSteps()
                        && progress.completed(DAMPED) < progress.completed(MAIN);
        return waits ? progress.completed(DAMPED) : progress.completed(MAIN);
    }

    @Override
    public boolean execute(Worker worker, int unit, int step) {
        if (unit == join()) {
            stepCanvas(worker, step);
        } else if (unit == MAIN) {
            denoise(worker, step);
        } else {
            denoiseDamped(worker, step);
        }
        return true;
    }

    private void denoise(Worker worker, int k) {
        DenoiserCall call = prepared.of(worker, MAIN);
        run(worker, call, k, Conditioning.PROMPT, factors[k]);
        if (dilated.dampedAt(k)) {
            call.keep(rows.on(worker));
            call.end(rows, 0);
        } else {
            call.combine(main.on(worker), guidanceScale);
            call.end(main, 0);
        }
    }

    private void denoiseDamped(Worker worker, int k) {
        if (!dilated.dampedAt(k)) {
            return; // without guidance there is none to damp
        }
        DenoiserCall call = prepared.of(worker, DAMPED);
        run(worker, call, k, Conditioning.UNCONDITIONAL, dampedFactors[k]);
        call.keep(damped.on(worker));
        call.end(damped, 0);
    }

    private DenoiserCall call(Worker worker, int unit) {
        IntUnaryOperator rows = unit == MAIN ? dilated::rows : k -> 1;
        Stage.Call whole = calls().get(unit);
        DenoiserCall call =
                new DenoiserCall(
                        worker, context, dilated, whole, rows, canvas.height(), canvas.width());
        if (shown != null) {
            call.show(shown.of(worker, whole));
        }
        return call;
    }

    private void run(Worker worker, DenoiserCall call, int k, int prompt, MemorySegment dilation) {
        call.begin(k);
        SharedTensor x = latents[k % latents.length];
        x.acquire(worker, 0);
        worker.kernels()
                .gatherWindows(
                        call.sample(),
                        x.on(worker),
                        canvas.channels(),
                        canvas.height(),
                        canvas.width(),
                        start.on(worker),
                        1,
                        canvas.height(),
                        canvas.width(),
                        call.inScale(),
                        call.rows());
        call.view(0, prompt);
        call.dilation(dilation);
        call.run();
    }

    private void stepCanvas(Worker worker, int k) {
        worker.beginKernels();
        Kernels kernels = worker.kernels();
        latents[k % latents.length].acquire(worker, 0);
        MemorySegment x = latents[k % latents.length].on(worker);
        MemorySegment output = dilated.dampedAt(k) ? guided(worker) : output(worker);
        MemorySegment random = MemorySegment.NULL;
        if (table.stochastic(k)) {
            random = stepNoise.on(worker);
            kernels.normal(random, canvas.plane(), seed, 0, k, Kernels.STEP_NOISE, 1);
        }
        predictions.acquire(worker, k, 0);
        StepHistory history = predictions.history(worker, k);
        SharedTensor next = latents[(k + 1) % latents.length];
        KeptPicture kept = context.kept();
        MemorySegment out = kept == null ? next.on(worker) : kept.stepped(worker);
        step(worker, out, x, output, predictions.row(k), random, history);
        if (kept != null) {
            kept.putBack(worker, next.on(worker), out, 0, canvas.height(), k);
        }
        next.publish(worker, 0);
        predictions.publish(worker, k, 0);
        if (previewStep() == k) {
            MemorySegment none = MemorySegment.NULL;
            MemorySegment clean = preview.on(worker);
            step(worker, clean, x, output, table.cleanRows[k], none, StepHistory.NONE);
            preview.publish(worker, 0);
        }
        worker.endKernels();
    }

    private MemorySegment output(Worker worker) {
        main.acquire(worker, 0);
        return main.on(worker);
    }

    /** mv + g * (mc - mu) of a damped step. */
    private MemorySegment guided(Worker worker) {
        rows.acquire(worker, 0);
        damped.acquire(worker, 0);
        long plane = canvas.plane();
        MemorySegment uncond = rows.on(worker);
        MemorySegment cond = uncond.asSlice(plane * Float.BYTES);
        MemorySegment out = guided.on(worker);
        worker.kernels().blend(out, cond, uncond, plane, 1, -1);
        worker.kernels().blend(out, damped.on(worker), out, plane, 1, guidanceScale);
        return out;
    }

    private void step(
            Worker worker,
            MemorySegment to,
            MemorySegment x,
            MemorySegment output,
            MemorySegment row,
            MemorySegment random,
            StepHistory history) {
        int h = canvas.height();
        int w = canvas.width();
        worker.kernels()
                .windowStep(
                        steps.of(worker)
                                .begin(row, canvas.channels(), h, w)
                                .canvas(to, x)
                                .windows(output, start.on(worker), 1, h, w)
                                .weights(weightY.on(worker), weightX.on(worker))
                                .noise(random)
                                .history(history));
    }

    @Override
    public MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        return latents[(step + 1) % latents.length].read(memory);
    }

    @Override
    public SharedTensor result() {
        return latents[dilated.steps() % latents.length];
    }

    @Override
    public MemorySegment previewCanvas(Kernels kernels) {
        return preview.read(memory);
    }
}
