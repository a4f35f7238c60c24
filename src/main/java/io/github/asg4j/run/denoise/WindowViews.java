// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.WindowOptions;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.Philox;
import io.github.asg4j.kernel.StepHistory;
import io.github.asg4j.kernel.WindowStep;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.WindowAxis;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/**
 * Overlapping windows over a canvas (SPEC §6): where they lie in every step, the noise of those of a
 * call, and the step of a strip of the canvas by the averaged noise of those that meet it. Its buffers
 * belong to the stage's memory; calls and strips write disjoint parts of them.
 */
public final class WindowViews {
    private static final long START_BYTES = 2L * Integer.BYTES;

    private final Stage.Windows windows;
    private final List<Stage.Call> calls;
    private final StageContext context;
    private final ScheduleTable table;
    private final Canvas canvas;
    private final long seed;
    private final int firstCounter;
    private final float guidanceScale;
    private final float backgroundScale;
    private final @Nullable ObjectMask objectMask;
    private final int[] prompts;
    private final int height;
    private final int width;
    private final long canvasPlane;
    private final long viewPlane;

    /** Combined network outputs [views, C, h, w] of the current step. */
    private final SharedTensor noise;

    /** The same with the guidance scale of low frequencies; empty: they have no other. */
    private final SharedTensor lowNoise;

    private final float lowScale;
    private final IntUnaryOperator rows;

    /** int32 [steps, views, 2]. */
    private final SharedTensor starts;

    /** Slices of it in host memory: all views by step, those of a call by call and step. */
    private final MemorySegment[] stepStarts;

    private final MemorySegment[][] callStarts;

    private final CanvasStrips strips;
    private final Workers workers;
    private final SharedTensor weightY;
    private final SharedTensor weightX;
    private final SharedTensor stepNoise;
    private final @Nullable ShownWindows shown;

    /** Null: the whole network runs in every step. */
    private final @Nullable FeatureCache features;

    private final PerCall<Prepared> prepared;
    private final PerWorker<Stepping> stepping;

    /**
     * @param band what low frequencies get instead; null: nothing
     * @param calls of the windows, in the order of their views
     * @param firstCounter step in the counters of random numbers (§1) of the stage's first step
     * @param objectMask tells windows with an object from background; null: all are alike
     * @param prompts row of the {@link Conditioning} per window with an object
     * @param starts where they lie ({@link #starts}), in host memory of the request
     * @param strips that the canvas is stepped in
     */
    public WindowViews(
            Stage.Windows windows,
            Stage.@Nullable LowBand band,
            List<Stage.Call> calls,
            StageContext context,
            int firstCounter,
            @Nullable ObjectMask objectMask,
            int[] prompts,
            MemorySegment starts,
            CanvasStrips strips) {
        this.windows = windows;
        this.calls = calls;
        this.context = context;
        this.table = context.table();
        this.canvas = context.canvas();
        this.seed = context.seed();
        this.firstCounter = firstCounter;
        this.objectMask = objectMask;
        this.prompts = prompts.clone();
        this.strips = strips;
        this.workers = context.workers();
        double other =
                windows.background() == null
                        ? windows.guidanceScale()
                        : windows.background().guidanceScale();
        this.guidanceScale = (float) windows.guidanceScale();
        this.backgroundScale = (float) other;
        this.height = windows.y().canvas();
        this.width = windows.x().canvas();
        this.canvasPlane = (long) canvas.channels() * height * width;
        this.viewPlane = (long) canvas.channels() * windows.viewHeight() * windows.viewWidth();
        long[] parts = calls.stream().mapToLong(call -> call.count() * viewPlane).toArray();
        noise = workers.inParts("noise of all windows", parts);
        boolean apart = band != null && band.guidanceScale() != windows.guidanceScale();
        lowNoise =
                workers.inParts("noise of low frequencies", apart ? parts : new long[parts.length]);
        lowScale = (float) (band == null ? windows.guidanceScale() : band.guidanceScale());
        rows =
                band != null && band.guidanceScale() > 1
                        ? k -> windows.guidance().holds(k) ? 2 : 1
                        : windows::rows;
        weightY = workers.of(weights(workers.memory(), windows.viewHeight()), "window weights");
        weightX = workers.of(weights(workers.memory(), windows.viewWidth()), "window weights");
        boolean stochastic = table.stochastic(windows.firstStep(), windows.steps());
        stepNoise = workers.floats(stochastic ? canvasPlane : 0, "step noise");
        this.starts = workers.of(starts, "windows");
        stepStarts = slices(starts, 0, windows.views());
        callStarts = new MemorySegment[calls.size()][];
        for (int c = 0; c < calls.size(); c++) {
            callStarts[c] = slices(starts, calls.get(c).first(), calls.get(c).count());
        }
        shown =
                context.conditioning().shown().isEmpty()
                        ? null
                        : new ShownWindows(windows, calls, context, starts);
        features =
                windows.caches()
                        ? new FeatureCache(
                                windows,
                                calls,
                                strips,
                                workers,
                                context.conditioning().denoiser().featureChannels(),
                                IntStream.range(0, windows.steps()).map(rows).max().orElse(1))
                        : null;
        prepared = new PerCall<>(workers.size(), calls.size(), Prepared::new);
        stepping = new PerWorker<>(workers.size(), Stepping::new);
    }

    /** The request's prompt for every window. */
    static int[] onePrompt(Stage.Windows windows) {
        int[] prompts = new int[windows.views()];
        Arrays.fill(prompts, Conditioning.PROMPT);
        return prompts;
    }

    /** Of {@code all} the starts of some views, by step. */
    private MemorySegment[] slices(MemorySegment all, int first, int count) {
        MemorySegment[] slices = new MemorySegment[windows.steps()];
        for (int k = 0; k < slices.length; k++) {
            long from = ((long) k * windows.views() + first) * START_BYTES;
            slices[k] = all.asSlice(from, count * START_BYTES);
        }
        return slices;
    }

    /** What one worker needs for one call, made once so that the loop allocates nothing. */
    private final class Prepared {
        final DenoiserCall call;
        final MemorySegment noise;
        final MemorySegment lowNoise;

        /** Per view; none where all views are alike. */
        final MemorySegment[] viewNoise;

        /** int32 [views, 2] per step. */
        final MemorySegment[] starts;

        Prepared(Worker worker, int c) {
            Stage.Call views = calls.get(c);
            call =
                    new DenoiserCall(
                            worker,
                            context,
                            windows,
                            views,
                            rows,
                            windows.viewHeight(),
                            windows.viewWidth());
            if (shown != null) {
                call.show(shown.of(worker, c));
            }
            long bytes = viewPlane * Float.BYTES;
            MemorySegment all = WindowViews.this.noise.on(worker);
            noise = all.asSlice(views.first() * bytes, views.count() * bytes);
            lowNoise =
                    guidesApart()
                            ? WindowViews.this
                                    .lowNoise
                                    .on(worker)
                                    .asSlice(views.first() * bytes, views.count() * bytes)
                            : MemorySegment.NULL;
            viewNoise = new MemorySegment[objectMask == null ? 0 : views.count()];
            for (int i = 0; i < viewNoise.length; i++) {
                viewNoise[i] = noise.asSlice(i * bytes, bytes);
            }
            starts =
                    worker.onHost()
                            ? callStarts[c]
                            : slices(
                                    WindowViews.this.starts.on(worker),
                                    views.first(),
                                    views.count());
        }
    }

    /** What one worker needs to step the canvas, made once. */
    private final class Stepping {
        final WindowStep step = new WindowStep();

        /** int32 [views, 2] of all views per step. */
        final MemorySegment[] starts;

        /** Step noise from the first row of each strip on; none where no step has any. */
        final MemorySegment[] random;

        Stepping(Worker worker) {
            starts =
                    worker.onHost()
                            ? stepStarts
                            : slices(WindowViews.this.starts.on(worker), 0, windows.views());
            random = new MemorySegment[stepNoise.byteSize() > 0 ? strips.count() : 0];
            for (int strip = 0; strip < random.length; strip++) {
                long from = (long) strips.firstRow(strip) * width * Float.BYTES;
                random[strip] = stepNoise.on(worker).asSlice(from);
            }
        }
    }

    /** A canvas [C, H, W] whose parts are the strips. */
    public SharedTensor canvasInStrips(String label) {
        long[] floats = new long[strips.count()];
        Arrays.setAll(floats, strip -> (long) strips.rows(strip) * width);
        return workers.inRows(label, canvas.channels(), floats);
    }

    private MemorySegment weights(Memory memory, int n) {
        MemorySegment weights = memory.floats(n, "window weights");
        for (int i = 0; i < n; i++) {
            double sine = Math.sin(Math.PI * (i + 0.5) / n);
            weights.setAtIndex(
                    ValueLayout.JAVA_FLOAT,
                    i,
                    windows.weight() == WindowOptions.Weight.FEATHER ? (float) (sine * sine) : 1);
        }
        return weights;
    }

    /**
     * int32 [steps, views, 2]: tops and lefts of all windows in all steps, jitter included.
     *
     * @param firstCounter step in the counters of random numbers (§1) of the first step
     * @param memory that owns the result
     */
    public static MemorySegment starts(
            Stage.Windows windows, long seed, int firstCounter, Memory memory) {
        WindowAxis y = windows.y();
        WindowAxis x = windows.x();
        MemorySegment all =
                memory.allocate(START_BYTES * windows.views() * windows.steps(), "windows");
        for (int k = 0; k < windows.steps(); k++) {
            for (int view = 0; view < windows.views(); view++) {
                long at = 2 * ((long) k * windows.views() + view);
                int counter = firstCounter + k;
                int top = shifted(y, view / x.count(), 2L * view, seed, counter);
                int left = shifted(x, view % x.count(), 2L * view + 1, seed, counter);
                all.setAtIndex(ValueLayout.JAVA_INT, at, top);
                all.setAtIndex(ValueLayout.JAVA_INT, at + 1, left);
            }
        }
        return all;
    }

    private static int shifted(WindowAxis axis, int index, long element, long seed, int counter) {
        int low = axis.jitterLow(index);
        int range = axis.jitterHigh(index) - low + 1;
        int random = Philox.word(seed, element, counter, Kernels.JITTER);
        return axis.start(index) + low + (int) (((random & 0xffffffffL) * range) >>> 32);
    }

    /**
     * The noise of the windows of call {@code c} at step {@code k} of the stage.
     *
     * @param canvas [C, H, W] that they are cut from, acquired by the worker
     */
    public void denoise(Worker worker, int c, int k, SharedTensor canvas) {
        Stage.Call views = calls.get(c);
        Prepared p = prepared.of(worker, c);
        DenoiserCall call = p.call;
        call.begin(k);
        worker.kernels()
                .gatherWindows(
                        call.sample(),
                        canvas.on(worker),
                        this.canvas.channels(),
                        height,
                        width,
                        p.starts[k],
                        views.count(),
                        windows.viewHeight(),
                        windows.viewWidth(),
                        call.inScale(),
                        call.rows());
        for (int i = 0; i < views.count(); i++) {
            int view = views.first() + i;
            int prompt = holdsObject(view) ? prompts[view] : Conditioning.BACKGROUND;
            condition(call, i, prompt, callStarts[c][k]);
        }
        boolean whole = windows.wholeAt(k);
        if (features != null && !whole) {
            features.cut(worker, c, k, p.starts[k], call.buffers());
        }
        call.run();
        if (features != null && whole) {
            features.keep(worker, c, call.buffers());
        }
        if (objectMask == null) {
            call.combine(p.noise, guidanceScale);
            if (guidesApart()) {
                call.combine(p.lowNoise, lowScale);
                lowNoise.publish(worker, c);
            }
        } else {
            for (int i = 0; i < views.count(); i++) {
                boolean object = objectMask.holdsObject(views.first() + i);
                call.combine(i, p.viewNoise[i], object ? guidanceScale : backgroundScale);
            }
        }
        call.end(noise, c);
    }

    private boolean holdsObject(int view) {
        return objectMask == null || objectMask.holdsObject(view);
    }

    private void condition(DenoiserCall call, int i, int prompt, MemorySegment callStarts) {
        int top = 0;
        int left = 0;
        if (windows.conditioning() == WindowOptions.Conditioning.CROP) {
            // As CutDiffusion's code: coordinates in a frame padded by the jitter.
            int factor = canvas.y().factor();
            int row = callStarts.getAtIndex(ValueLayout.JAVA_INT, 2L * i);
            int column = callStarts.getAtIndex(ValueLayout.JAVA_INT, 2L * i + 1);
            top = (row + windows.y().jitter()) * factor;
            left = (column + windows.x().jitter()) * factor;
        }
        call.view(i, prompt, top, left);
    }

    /**
     * Step noise of a strip in step {@code k} of the stage.
     *
     * @return [C, H, W] in which the strip's rows are set, or NULL if the step has none
     */
    public MemorySegment stepNoise(Worker worker, int strip, int k) {
        if (!table.stochastic(windows.firstStep() + k)) {
            return MemorySegment.NULL;
        }
        worker.kernels()
                .normal(
                        stepping.of(worker).random[strip],
                        canvas.channels(),
                        (long) height * width,
                        (long) strips.rows(strip) * width,
                        seed,
                        (long) strips.firstRow(strip) * width,
                        firstCounter + k,
                        Kernels.STEP_NOISE,
                        1);
        return stepNoise.on(worker);
    }

    /**
     * Brings the noise of the windows that meet a strip to the worker, and joins features that are kept
     * for later steps; before its {@link #step}.
     */
    public void gather(Worker worker, int strip, int k) {
        for (int c = strips.firstCall(strip); c <= strips.lastCall(strip); c++) {
            if (strips.meets(k, c, strip)) {
                noise.acquire(worker, c);
                if (guidesApart()) {
                    lowNoise.acquire(worker, c);
                }
            }
        }
        if (features != null && windows.wholeAt(k)) {
            MemorySegment starts = stepping.of(worker).starts[k];
            MemorySegment y = weightY.on(worker);
            MemorySegment x = weightX.on(worker);
            features.join(worker, strip, k, starts, y, x, rows.applyAsInt(k));
        }
    }

    /** Whether low frequencies have a guidance scale of their own. */
    boolean guidesApart() {
        return lowNoise.byteSize() > 0;
    }

    /**
     * The averaged output of all windows, guided as low frequencies are; see {@link #step}.
     *
     * @param row that leaves the estimate
     */
    void stepLow(Worker worker, MemorySegment out, MemorySegment x, int k, MemorySegment row) {
        step(worker, 0, lowNoise, out, x, k, row, MemorySegment.NULL, StepHistory.NONE);
    }

    /**
     * A strip of the canvas after step {@code k} of the stage, once all calls that meet it have left
     * their noise.
     *
     * @param out [C, H, W], of which the strip is written
     * @param x [C, H, W], what the windows were cut from
     * @param row of the step
     * @param random step noise [C, H, W], or NULL
     * @param history predictions [C, H, W], of which the strip is read and written
     */
    public void step(
            Worker worker,
            int strip,
            MemorySegment out,
            MemorySegment x,
            int k,
            MemorySegment row,
            MemorySegment random,
            StepHistory history) {
        step(worker, strip, noise, out, x, k, row, random, history);
    }

    private void step(
            Worker worker,
            int strip,
            SharedTensor outputs,
            MemorySegment out,
            MemorySegment x,
            int k,
            MemorySegment row,
            MemorySegment random,
            StepHistory history) {
        Stepping own = stepping.of(worker);
        worker.kernels()
                .windowStep(
                        own.step
                                .begin(row, canvas.channels(), height, width)
                                .rows(strips.firstRow(strip), strips.rows(strip))
                                .canvas(out, x)
                                .windows(
                                        outputs.on(worker),
                                        own.starts[k],
                                        windows.views(),
                                        windows.viewHeight(),
                                        windows.viewWidth())
                                .weights(weightY.on(worker), weightX.on(worker))
                                .noise(random)
                                .history(history));
    }
}
