// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * A phase of DemoFusion (arXiv 2311.16973; SPEC §9): calls of local windows and of dilated views,
 * and one join a step, which ends the step before and prepares the next. The join has one step more
 * than the calls: its first enlarges the phase before.
 */
final class PhaseRun extends StageRun {
    private final Stage.Phase phase;
    private final Tables tables;
    private final long seed;
    private final int channels;
    private final int height;
    private final int width;
    private final long plane;
    private final WindowViews local;
    private final DilatedViews dilated;
    private final int localCalls;

    /** [C, h, w], what the phase before gave, and float64 [2], the moments of the first one. */
    private final MemorySegment previous;

    private final MemorySegment anchor;
    private final boolean first;
    private final Resize enlarge;

    /** [C, H, W]: the phase before at this size, and the noise that noises it at every step. */
    private final MemorySegment enlarged;

    private final MemorySegment noise;

    /** [C, H, W] that step k starts from at index k % 2: a join reads one and writes the other. */
    private final MemorySegment[] x = new MemorySegment[2];

    /** The canvas [C, H, W] after step k at index k % length. */
    private final MemorySegment[] latents;

    private final MemorySegment out;
    private final MemorySegment preview;
    private final MemorySegment blurred;
    private final MemorySegment scratch;
    private final MemorySegment moments;
    private final MemorySegment blurredMoments;

    /** Float32 [2s - 1] of every step. */
    private final MemorySegment[] taps;

    /**
     * @param previous [C, h, w], the result of the phase before, or of a start picture's encoder
     * @param anchor float64 [2], moments that every phase ends with
     * @param first whether this is the first phase, which measures the anchor
     */
    PhaseRun(
            Stage.Phase phase,
            int viewBatch,
            Conditioning conditioning,
            Tables tables,
            long seed,
            int workers,
            MemorySegment previous,
            MemorySegment anchor,
            boolean first,
            boolean history,
            boolean previews,
            Memory memory) {
        super(phase, viewBatch);
        this.phase = phase;
        this.tables = tables;
        this.seed = seed;
        this.previous = previous;
        this.anchor = anchor;
        this.first = first;
        channels = conditioning.canvas().channels();
        height = phase.local().y().canvas();
        width = phase.local().x().canvas();
        plane = (long) channels * height * width;
        int before = Math.max(1, phase.number() - 1);
        enlarge =
                Resize.bicubic(
                        memory,
                        channels,
                        before * phase.dilatedHeight(),
                        before * phase.dilatedWidth(),
                        height,
                        width);
        List<Stage.Call> windowCalls = new ArrayList<>();
        List<Stage.Call> dilatedCalls = new ArrayList<>();
        int windows = phase.local().views();
        for (Stage.Call call : calls) {
            if (call.first() < windows) {
                windowCalls.add(call);
            } else {
                dilatedCalls.add(new Stage.Call(call.first() - windows, call.count()));
            }
        }
        localCalls = windowCalls.size();
        local =
                new WindowViews(
                        phase.local(),
                        windowCalls,
                        conditioning,
                        tables,
                        seed,
                        phase.steps() * (phase.number() - 1),
                        workers,
                        null,
                        memory);
        dilated = new DilatedViews(phase, dilatedCalls, conditioning, tables, workers, memory);
        enlarged = memory.floats(plane, "enlarged phase");
        noise = memory.floats(plane, "phase noise");
        x[0] = memory.floats(plane, "canvas");
        x[1] = memory.floats(plane, "canvas");
        latents = new MemorySegment[history ? phase.steps() : 1];
        for (int i = 0; i < latents.length; i++) {
            latents[i] = memory.floats(plane, "canvas");
        }
        out = memory.floats(plane, "phase");
        preview = memory.floats(previews ? plane : 0, "preview");
        blurred = memory.floats(plane, "blurred canvas");
        scratch = memory.floats(plane, "scratch");
        moments = memory.allocate(2 * Double.BYTES, "moments");
        blurredMoments = memory.allocate(2 * Double.BYTES, "moments");
        taps = taps(memory);
    }

    private MemorySegment[] taps(Memory memory) {
        MemorySegment[] steps = new MemorySegment[phase.steps()];
        for (int k = 0; k < steps.length; k++) {
            double[] weights = phase.course().blurTaps(phase.number(), tables.timestep(k));
            steps[k] = memory.floats(weights.length, "blur");
            for (int i = 0; i < weights.length; i++) {
                steps[k].setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) weights[i]);
            }
        }
        return steps;
    }

    @Override
    int total(int unit) {
        return unit == join() ? phase.steps() + 1 : phase.steps();
    }

    @Override
    boolean ready(int unit) {
        return unit == join() ? completedSteps() == done[join()] : done[unit] < done[join()];
    }

    @Override
    int joinedSteps() {
        return done[join()] - 1;
    }

    @Override
    boolean execute(Worker worker, int unit, int step) {
        if (unit == join()) {
            long clock = System.nanoTime();
            join(worker.kernels, step);
            worker.kernelNanos += System.nanoTime() - clock;
        } else if (unit < localCalls) {
            local.denoise(worker, unit, step, x[step % 2]);
        } else {
            dilated.denoise(worker, unit - localCalls, step);
        }
        return true;
    }

    /** Ends step k - 1 and prepares step k. */
    private void join(Kernels kernels, int k) {
        if (k == 0) {
            begin(kernels);
        } else {
            step(kernels, k - 1);
        }
        if (k == phase.steps()) {
            end(kernels);
        } else {
            prepare(kernels, k);
        }
    }

    private void begin(Kernels kernels) {
        enlarge.run(kernels, enlarged, previous);
        kernels.normal(noise, plane, seed, 0, phase.number(), Kernels.PHASE_NOISE, 1);
        if (first) {
            kernels.moments(anchor, previous, previous.byteSize() / 4);
        }
    }

    /** What the calls of step k read: the canvas after the skip residual, and its dilated views. */
    private void prepare(Kernels kernels, int k) {
        MemorySegment next = x[k % 2];
        if (k == 0) {
            kernels.blend(next, enlarged, noise, plane, tables.alpha(k), tables.sigma(k));
        } else {
            kernels.blend(scratch, enlarged, noise, plane, tables.alpha(k), tables.sigma(k));
            double c1 = phase.course().skip(tables.timestep(k));
            kernels.blend(next, after(k - 1), scratch, plane, (float) (1 - c1), (float) c1);
        }
        int n = 2 * phase.number() - 1;
        kernels.blur(blurred, scratch, next, channels, height, width, taps[k], n);
        kernels.moments(moments, next, plane);
        kernels.moments(blurredMoments, blurred, plane);
        kernels.matchMoments(blurred, blurred, plane, blurredMoments, moments);
        dilated.cut(kernels, blurred);
    }

    private void step(Kernels kernels, int k) {
        fuse(kernels, after(k), k, tables.rows[k], local.stepNoise(kernels, k));
        if (previewStep() == k) {
            fuse(kernels, preview, k, tables.cleanRows[k], MemorySegment.NULL);
        }
    }

    /** The weighted sum of the step by the local windows and of that by the dilated views. */
    private void fuse(
            Kernels kernels, MemorySegment fused, int k, MemorySegment row, MemorySegment random) {
        local.step(kernels, fused, x[k % 2], k, row, random);
        dilated.step(kernels, blurred, x[k % 2], scratch, row, random);
        double c2 = phase.course().dilated(tables.timestep(k));
        kernels.blend(fused, fused, blurred, plane, (float) (1 - c2), (float) c2);
    }

    private void end(Kernels kernels) {
        MemorySegment last = after(phase.steps() - 1);
        kernels.moments(moments, last, plane);
        kernels.matchMoments(out, last, plane, moments, anchor);
    }

    private MemorySegment after(int k) {
        return latents[k % latents.length];
    }

    /** [C, H, W], the phase's result, once it is done. */
    MemorySegment result() {
        return out;
    }

    @Override
    MemorySegment latentsAfter(int step, Kernels kernels, Memory memory) {
        return after(step);
    }

    @Override
    MemorySegment previewCanvas(Kernels kernels) {
        return preview;
    }
}
