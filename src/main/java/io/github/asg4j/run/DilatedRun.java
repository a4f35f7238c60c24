// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Dilation;
import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * ScaleCrafter's dilated steps (SPEC.md §9): the whole canvas in one call, in the damped steps its
 * unconditional row in a second one, and a join that makes the scheduler step.
 */
final class DilatedRun extends StageRun {
    private static final int MAIN = 0;
    private static final int DAMPED = 1;

    private final Stage.Dilated dilated;
    private final Conditioning conditioning;
    private final Tables tables;
    private final Canvas canvas;
    private final long seed;
    private final int copies;
    private final float guidanceScale;

    /** The canvas [C, H, W] before step k at index k % length. */
    private final MemorySegment[] latents;

    /** What the main call leaves [C, H, W]: the combined output, or cond - uncond where damped. */
    private final MemorySegment main;

    /** Unconditional output of the damped call [C, H, W], and both together. */
    private final MemorySegment damped;

    private final MemorySegment guided;

    /** float32 [G] per step. */
    private final MemorySegment[] factors;

    private final MemorySegment[] dampedFactors;
    private final MemorySegment start;
    private final MemorySegment weightY;
    private final MemorySegment weightX;
    private final MemorySegment stepNoise;
    private final MemorySegment preview;
    private final @Nullable CallBuffers[][] prepared;

    /**
     * @param conditioning with the dilated denoiser
     * @param start [C, H, W], the canvas before the first step
     */
    DilatedRun(
            Stage.Dilated dilated,
            Conditioning conditioning,
            Tables tables,
            long seed,
            int workers,
            MemorySegment start,
            boolean history,
            boolean previews,
            Memory memory) {
        super(dilated, 1);
        this.dilated = dilated;
        this.conditioning = conditioning;
        this.tables = tables;
        this.canvas = conditioning.canvas();
        this.seed = seed;
        this.copies = dilated.guidanceScale() == 1 ? 1 : 2;
        this.guidanceScale = (float) dilated.guidanceScale();
        long plane = canvas.plane();
        latents = new MemorySegment[history ? dilated.steps() + 1 : 2];
        latents[0] = start;
        for (int i = 1; i < latents.length; i++) {
            latents[i] = memory.floats(plane, "canvas");
        }
        main = memory.floats(plane, "network output");
        boolean damps = dilated.dampedSteps() > 0;
        damped = memory.floats(damps ? plane : 0, "damped network output");
        guided = memory.floats(damps ? plane : 0, "guided network output");
        factors = factors(dilated.dilation(), dilated.steps(), memory);
        dampedFactors = factors(dilated.damping(), dilated.dampedSteps(), memory);
        this.start = memory.allocate(8, "window");
        weightY = ones(memory, canvas.height());
        weightX = ones(memory, canvas.width());
        boolean stochastic = false;
        for (int k = 0; k < dilated.steps(); k++) {
            stochastic |= tables.stochastic(k);
        }
        stepNoise = stochastic ? memory.floats(plane, "step noise") : MemorySegment.NULL;
        preview = memory.floats(previews ? plane : 0, "preview");
        prepared = new CallBuffers[workers][calls.size()];
    }

    private MemorySegment[] factors(Dilation dilation, int steps, Memory memory) {
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

    private static MemorySegment ones(Memory memory, int n) {
        MemorySegment ones = memory.floats(n, "window weights");
        for (int i = 0; i < n; i++) {
            ones.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
        }
        return ones;
    }

    private boolean dampedAt(int k) {
        return k < dilated.dampedSteps();
    }

    @Override
    int total(int unit) {
        return unit == DAMPED && unit != join() ? dilated.dampedSteps() : dilated.steps();
    }

    @Override
    boolean ready(int unit) {
        return unit == join() ? completedSteps() > done[join()] : done[unit] == done[join()];
    }

    @Override
    int completedSteps() {
        boolean waits = dampedAt(done[MAIN] - 1) && done[DAMPED] < done[MAIN];
        return waits ? done[DAMPED] : done[MAIN];
    }

    @Override
    boolean execute(Worker worker, int unit, int step) {
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
        CallBuffers b = buffers(worker, MAIN, copies, Conditioning.PROMPT);
        run(worker, b, k, factors[k]);
        long clock = System.nanoTime();
        if (dampedAt(k)) {
            worker.kernels.blend(main, b.cond, b.uncond, canvas.plane(), 1, -1);
        } else {
            worker.kernels.combine(main, b.uncond, b.cond, canvas.plane(), guidanceScale);
        }
        worker.kernelNanos += System.nanoTime() - clock;
    }

    private void denoiseDamped(Worker worker, int k) {
        CallBuffers b = buffers(worker, DAMPED, 1, Conditioning.UNCONDITIONAL);
        run(worker, b, k, dampedFactors[k]);
        MemorySegment.copy(b.cond, 0, damped, 0, canvas.plane() * 4);
    }

    private CallBuffers buffers(Worker worker, int unit, int rows, int prompt) {
        CallBuffers b = prepared[worker.index][unit];
        if (b == null) {
            b = worker.buffers(conditioning, 1, rows, canvas.height(), canvas.width());
            prepared[worker.index][unit] = b;
        }
        b.prompt(0, prompt);
        return b;
    }

    private void run(Worker worker, CallBuffers b, int k, MemorySegment dilation) {
        Kernels kernels = worker.kernels;
        long clock = System.nanoTime();
        kernels.gatherWindows(
                b.sample,
                latents[k % latents.length],
                canvas.channels(),
                canvas.height(),
                canvas.width(),
                start,
                1,
                canvas.height(),
                canvas.width(),
                tables.inScale(k),
                b.copies());
        b.timestep(tables.timestep(k));
        b.timeIds(0, canvas.heightPixels(), canvas.widthPixels(), 0, 0);
        b.dilation(dilation);
        worker.kernelNanos += System.nanoTime() - clock;
        worker.run(b);
        clock = System.nanoTime();
        NonFinite.check(kernels, b.noise, dilated, k);
        worker.kernelNanos += System.nanoTime() - clock;
    }

    private void stepCanvas(Worker worker, int k) {
        long clock = System.nanoTime();
        Kernels kernels = worker.kernels;
        MemorySegment x = latents[k % latents.length];
        MemorySegment output = main;
        if (dampedAt(k)) {
            output = guided;
            kernels.blend(guided, damped, main, canvas.plane(), 1, guidanceScale);
        }
        boolean stochastic = tables.stochastic(k);
        if (stochastic) {
            kernels.normal(stepNoise, canvas.plane(), seed, 0, k, Kernels.STEP_NOISE, 1);
        }
        MemorySegment next = latents[(k + 1) % latents.length];
        step(kernels, next, x, output, tables.rows[k], stochastic ? stepNoise : MemorySegment.NULL);
        if (previewStep() == k) {
            step(kernels, preview, x, output, tables.cleanRows[k], MemorySegment.NULL);
        }
        worker.kernelNanos += System.nanoTime() - clock;
    }

    private void step(
            Kernels kernels,
            MemorySegment out,
            MemorySegment x,
            MemorySegment output,
            MemorySegment row,
            MemorySegment random) {
        kernels.windowStep(
                out,
                x,
                canvas.channels(),
                canvas.height(),
                canvas.width(),
                output,
                start,
                1,
                canvas.height(),
                canvas.width(),
                weightY,
                weightX,
                random,
                row);
    }

    @Override
    MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        return latents[(step + 1) % latents.length];
    }

    @Override
    MemorySegment previewCanvas(Kernels kernels) {
        return preview;
    }
}
