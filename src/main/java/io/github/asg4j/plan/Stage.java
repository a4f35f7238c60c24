// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.GuideOptions;
import io.github.asg4j.RelayStage;
import io.github.asg4j.Size;
import io.github.asg4j.StageReport;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.model.CallShape;
import io.github.asg4j.model.Flops;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** A run of consecutive denoising steps over views of one shape. */
public sealed interface Stage {
    /** Index of the stage's first step in the schedule. */
    int firstStep();

    int steps();

    /** Views (UNet evaluations before batching) per step. */
    int views();

    /** Latent rows of a view. */
    int viewHeight();

    /** Latent columns of a view. */
    int viewWidth();

    /** Classifier-free guidance, and the steps that have it. */
    Guidance guidance();

    /** Classifier-free guidance scale, at least 1; 1 is none. */
    default double guidanceScale() {
        return guidance().scale();
    }

    /**
     * The scale that is drawn with where {@code asked} was asked for: up to 1 there is no
     * classifier-free guidance, as in diffusers. Below 1 the formula would mix the prompt away.
     */
    static double guidanceScale(double asked) {
        return Math.max(1, asked);
    }

    /** Returns the same stage that is guided in its steps {@code first} to {@code end}, the latter excluded. */
    Stage guidedDuring(int first, int end);

    /** Returns the same stage that runs the whole denoiser in every {@code interval}-th step, if it can. */
    default Stage cachedBy(int interval) {
        return this;
    }

    /** Whether it keeps features of the denoiser from step to step. */
    default boolean caches() {
        return false;
    }

    /** Whether step {@code k} runs the whole denoiser, not its outermost layers alone. */
    default boolean wholeAt(int k) {
        return true;
    }

    /** Steps that run the whole denoiser. */
    default int wholeSteps() {
        return (int) IntStream.range(0, steps()).filter(this::wholeAt).count();
    }

    /** Whether the output of any view is mixed of a conditional and an unconditional row. */
    default boolean mixes() {
        return guidanceScale() > 1;
    }

    /** Rows of the network's input for one view in step {@code k}: conditional, and with guidance unconditional. */
    default int rows(int k) {
        return mixes() && guidance().holds(k) ? 2 : 1;
    }

    /** The most rows for one view in any step. */
    default int rows() {
        return rowCounts().getFirst();
    }

    /** The numbers of rows for one view that steps have, the larger first. */
    default List<Integer> rowCounts() {
        return rowCounts(steps(), this::rows);
    }

    private static List<Integer> rowCounts(int steps, IntUnaryOperator rows) {
        return IntStream.range(0, steps)
                .map(rows)
                .boxed()
                .distinct()
                .sorted(Comparator.reverseOrder())
                .toList();
    }

    /** Rows of the network's input for all views in step {@code k}. */
    default long rowsOf(int k) {
        return (long) views() * rows(k);
    }

    /** Rows of the whole network's input for all views in all steps. */
    default long denoiserRows() {
        return IntStream.range(0, steps()).filter(this::wholeAt).mapToLong(this::rowsOf).sum();
    }

    /** Latent cells of all those rows. */
    default long denoiserCells() {
        return denoiserRows() * viewHeight() * viewWidth();
    }

    /**
     * Floating-point operations of the denoiser, whole and shallow, on all rows; NaN: it is not known how
     * many a shallow row has.
     */
    default double flops(Flops counts) {
        double cells = (double) viewHeight() * viewWidth();
        long shallowRows =
                IntStream.range(0, steps()).filter(k -> !wholeAt(k)).mapToLong(this::rowsOf).sum();
        double whole = denoiserRows() * counts.denoiser().of(cells);
        if (shallowRows == 0) {
            return whole;
        }
        return counts.shallow() == null
                ? Double.NaN
                : whole + shallowRows * counts.shallow().of(cells);
    }

    /** Name in events and messages. */
    String name();

    /** Barriers over all workers that the stage needs. */
    int barriers();

    /** What was decided, as a caller is told. */
    StageReport.Settings settings();

    /**
     * What a caller is told of the stage.
     *
     * @param viewBatch of the plan
     */
    default StageReport report(int viewBatch) {
        return new StageReport(
                name(),
                steps(),
                views(),
                new Size(viewWidth(), viewHeight()),
                calls(viewBatch).size(),
                guidanceScale(),
                rows(),
                guidedSteps(),
                barriers(),
                settings());
    }

    private StageReport.@Nullable Steps guidedSteps() {
        int count = guidance().count(steps());
        return !mixes() || count == steps()
                ? null
                : new StageReport.Steps(count == 0 ? 0 : guidance().first(), count);
    }

    /** Whole UNet evaluations of all steps; a pair of a conditional and an unconditional row is one. */
    default long evaluations() {
        return (long) views() * wholeSteps();
    }

    /** Evaluations of the UNet's outermost layers alone, counted alike. */
    default long shallowEvaluations() {
        return (long) views() * (steps() - wholeSteps());
    }

    /** Shapes of the UNet's calls on the CPU; one may come several times. */
    default List<CallShape> callShapes(int viewBatch) {
        return calls(viewBatch).stream()
                .flatMap(call -> call.shapes(rowCounts(), viewHeight(), viewWidth()))
                .toList();
    }

    /** Calls of the UNet's session in all steps. */
    default long runs(int viewBatch) {
        return (long) calls(viewBatch).size() * steps();
    }

    /** The windows over the stage's canvas, which say how large it is; null: the final canvas. */
    default @Nullable Windows canvasWindows() {
        return null;
    }

    /** Denoisers that a stage can run. */
    enum Network {
        /** As the bundle has it. */
        PLAIN,
        /** With factors of dilation as an input. */
        DILATED,
        /** Gives its features, and in other steps its outermost layers alone take them. */
        CACHED
    }

    /** The denoiser that it runs. */
    default Network network() {
        return caches() ? Network.CACHED : Network.PLAIN;
    }

    /** Whether the attention maps of the denoiser decide anything in it. */
    default boolean readsMaps() {
        return false;
    }

    /**
     * Native-size patches that are each a sub-sampled view of the whole picture (stage 1), then
     * relocated to the canvas.
     *
     * @param guide how they agree
     */
    record Patches(
            int firstStep,
            int steps,
            int views,
            int viewHeight,
            int viewWidth,
            Guidance guidance,
            Guide guide)
            implements Stage {
        @Override
        public Patches guidedDuring(int first, int end) {
            return new Patches(
                    firstStep,
                    steps,
                    views,
                    viewHeight,
                    viewWidth,
                    guidance.during(first, end),
                    guide);
        }

        @Override
        public String name() {
            return "stage1";
        }

        /** Whether pixel interaction shuffles the patches at step {@code k} of the stage. */
        public boolean interactsAt(int k) {
            return views > 1 && k >= 0 && k < guide.interactionSteps();
        }

        /** Whether step {@code k} reads the latents of all patches: to shuffle or to un-shuffle. */
        public boolean gathersAt(int k) {
            return interactsAt(k) || interactsAt(k - 1);
        }

        /** Whether the key patch guides the others. */
        public boolean guided() {
            return views > 1 && guide.weight() > 0;
        }

        @Override
        public boolean readsMaps() {
            return guided() && guide.mask() != GuideOptions.Mask.NONE;
        }

        /** Whether each patch has a guide of its own. */
        public boolean upsampled() {
            return guided() && guide.upsampling() == GuideOptions.Upsampling.BICUBIC;
        }

        /** w_k (SPEC §4). */
        public float weightAt(int k) {
            double course =
                    switch (guide.schedule()) {
                        case CONSTANT -> 1;
                        case COSINE -> 0.5 * (1 + Math.cos(Math.PI * k / steps));
                        case LINEAR -> 1 - (double) k / steps;
                    };
            return (float) (guide.weight() * course);
        }

        @Override
        public StageReport.Patches settings() {
            return guide.report(steps);
        }

        @Override
        public int barriers() {
            int n = 1; // the stage switch
            for (int k = 1; k < steps; k++) {
                n += gathersAt(k) ? 1 : 0;
            }
            return n;
        }
    }

    /**
     * Windows over one canvas whose noise is averaged in every step: stage 2, MultiDiffusion, and,
     * with a single window, direct inference.
     *
     * @param y the canvas of this stage and its windows, rows
     * @param x columns
     * @param background what windows without an object get instead; null: all windows are alike
     * @param cacheInterval the whole denoiser runs in every so many-th step, and where guidance sets in or
     *     ends; 1: in all steps
     */
    record Windows(
            int firstStep,
            int steps,
            WindowAxis y,
            WindowAxis x,
            WindowOptions.Weight weight,
            WindowOptions.Conditioning conditioning,
            Guidance guidance,
            @Nullable Background background,
            int cacheInterval,
            String name)
            implements Stage {
        @Override
        public Windows cachedBy(int interval) {
            return new Windows(
                    firstStep,
                    steps,
                    y,
                    x,
                    weight,
                    conditioning,
                    guidance,
                    background,
                    interval,
                    name);
        }

        @Override
        public boolean caches() {
            return cacheInterval > 1;
        }

        /** Features of rows that the last whole evaluation did not have are not there. */
        @Override
        public boolean wholeAt(int k) {
            return k % cacheInterval == 0 || guidance.holds(k) != guidance.holds(k - 1);
        }

        @Override
        public Windows guidedDuring(int first, int end) {
            return new Windows(
                    firstStep,
                    steps,
                    y,
                    x,
                    weight,
                    conditioning,
                    guidance.during(first, end),
                    background,
                    cacheInterval,
                    name);
        }

        @Override
        public int views() {
            return y.count() * x.count();
        }

        /** All windows have two rows if any window is guided. */
        @Override
        public boolean mixes() {
            return guidanceScale() > 1 || (background != null && background.guidanceScale() > 1);
        }

        @Override
        public Windows canvasWindows() {
            return this;
        }

        @Override
        public boolean readsMaps() {
            return background != null;
        }

        /** Whether its canvas is smaller than the picture's: that of one patch. */
        public boolean smallerThan(Canvas whole) {
            return y.canvas() < whole.height() || x.canvas() < whole.width();
        }

        @Override
        public StageReport.Windows settings() {
            return new StageReport.Windows(
                    new Size(x.canvas(), y.canvas()),
                    new Size(x.count(), y.count()),
                    guidanceScale(),
                    views() == 1
                            ? null
                            : new StageReport.Overlap(
                                    new Size(x.stride(), y.stride()),
                                    new Size(x.jitter(), y.jitter()),
                                    weight,
                                    conditioning),
                    background == null ? null : background.report(),
                    caches()
                            ? new StageReport.Cache(
                                    cacheInterval, wholeSteps(), steps - wholeSteps())
                            : null);
        }

        @Override
        public int viewHeight() {
            return y.size();
        }

        @Override
        public int viewWidth() {
            return x.size();
        }

        /** A call waits for the rows that its windows read, never for all. */
        @Override
        public int barriers() {
            return 0;
        }
    }

    /**
     * A phase of DemoFusion (arXiv 2311.16973): the phase before, enlarged and noised, is denoised by
     * overlapping windows and by dilated views, which hold every s-th cell of the canvas.
     *
     * @param number s: the canvas has s x s times the cells of a picture of native size
     * @param local windows over the phase's canvas, all steps
     * @param dilatedScale classifier-free guidance scale of the dilated views, at least 1, in the steps in
     *     which the windows are guided
     * @param course how skip residual, dilated views and their blur weigh over the steps
     */
    record Phase(int number, Windows local, double dilatedScale, PhaseCourse course)
            implements Stage {
        /** Returns the guidance of the dilated views. */
        @Override
        public Guidance guidance() {
            return new Guidance(dilatedScale, local.guidance().first(), local.guidance().end());
        }

        @Override
        public Phase guidedDuring(int first, int end) {
            return new Phase(number, local.guidedDuring(first, end), dilatedScale, course);
        }

        @Override
        public int firstStep() {
            return local.firstStep();
        }

        @Override
        public int steps() {
            return local.steps();
        }

        /** Windows first, then dilated views. */
        @Override
        public int views() {
            return local.views() + dilatedViews();
        }

        public int dilatedViews() {
            return number * number;
        }

        @Override
        public boolean mixes() {
            return dilatedScale > 1 || local.mixes();
        }

        /** Returns the rows of a dilated view in step {@code k}. */
        public int dilatedRows(int k) {
            return dilatedScale > 1 && guidance().holds(k) ? 2 : 1;
        }

        @Override
        public long rowsOf(int k) {
            return local.rowsOf(k) + (long) dilatedViews() * dilatedRows(k);
        }

        @Override
        public long denoiserCells() {
            return local.denoiserCells() + dilatedRows() * dilatedHeight() * dilatedWidth();
        }

        /** Rows of all dilated views in all steps. */
        private long dilatedRows() {
            return IntStream.range(0, steps())
                    .mapToLong(k -> (long) dilatedViews() * dilatedRows(k))
                    .sum();
        }

        @Override
        public double flops(Flops counts) {
            double cells = (double) dilatedHeight() * dilatedWidth();
            return local.flops(counts) + dilatedRows() * counts.denoiser().of(cells);
        }

        /** Latent rows of a dilated view. */
        public int dilatedHeight() {
            return local.y().canvas() / number;
        }

        /** Latent columns of a dilated view. */
        public int dilatedWidth() {
            return local.x().canvas() / number;
        }

        /** Returns the height of a window. */
        @Override
        public int viewHeight() {
            return local.viewHeight();
        }

        /** Returns the width of a window. */
        @Override
        public int viewWidth() {
            return local.viewWidth();
        }

        @Override
        public String name() {
            return local.name();
        }

        @Override
        public Windows canvasWindows() {
            return local;
        }

        /** A call has windows or dilated views, which may differ in size and guidance scale. */
        @Override
        public List<Call> calls(int viewBatch) {
            int room = callSize(Math.max(local.views(), dilatedViews()), viewBatch);
            List<Call> calls = new ArrayList<>(Stage.calls(0, local.views(), room));
            calls.addAll(Stage.calls(local.views(), dilatedViews(), room));
            return List.copyOf(calls);
        }

        @Override
        public List<CallShape> callShapes(int viewBatch) {
            List<Integer> dilated = Stage.rowCounts(steps(), this::dilatedRows);
            return calls(viewBatch).stream()
                    .flatMap(
                            call ->
                                    call.first() < local.views()
                                            ? call.shapes(
                                                    local.rowCounts(), viewHeight(), viewWidth())
                                            : call.shapes(dilated, dilatedHeight(), dilatedWidth()))
                    .toList();
        }

        @Override
        public StageReport.Phase settings() {
            return new StageReport.Phase(
                    local.settings(),
                    dilatedViews(),
                    new Size(dilatedWidth(), dilatedHeight()),
                    course.skipExponent(),
                    course.dilatedExponent(),
                    course.blurExponent(),
                    course.blur());
        }

        @Override
        public int barriers() {
            return steps();
        }
    }

    /**
     * A stage of a relay (SPEC §11): windows over a canvas that is the stage before it, enlarged and
     * noised anew.
     *
     * @param number of its row in the relay's table, from 1 on
     * @param row of the relay's table that it was made of
     * @param windows over the stage's canvas
     * @param refresh how the canvas comes from the stage before; null: it is noise
     * @param told pixels that the network is told (SDXL's time_ids)
     * @param lowBand what low frequencies get instead; null: nothing
     */
    record Leg(
            int number,
            RelayStage row,
            Windows windows,
            @Nullable Refresh refresh,
            Size told,
            @Nullable LowBand lowBand)
            implements Stage {
        @Override
        public int firstStep() {
            return windows.firstStep();
        }

        @Override
        public int steps() {
            return windows.steps();
        }

        @Override
        public int views() {
            return windows.views();
        }

        @Override
        public int viewHeight() {
            return windows.viewHeight();
        }

        @Override
        public int viewWidth() {
            return windows.viewWidth();
        }

        @Override
        public Guidance guidance() {
            return windows.guidance();
        }

        @Override
        public Leg guidedDuring(int first, int end) {
            return new Leg(number, row, windows.guidedDuring(first, end), refresh, told, lowBand);
        }

        @Override
        public Leg cachedBy(int interval) {
            return new Leg(number, row, windows.cachedBy(interval), refresh, told, lowBand);
        }

        @Override
        public boolean caches() {
            return windows.caches();
        }

        @Override
        public boolean wholeAt(int k) {
            return windows.wholeAt(k);
        }

        @Override
        public boolean mixes() {
            return windows.mixes() || (lowBand != null && lowBand.guidanceScale() > 1);
        }

        @Override
        public String name() {
            return windows.name();
        }

        @Override
        public Windows canvasWindows() {
            return windows;
        }

        /** The refresh waits for all; low frequencies are of the whole canvas, in every step. */
        @Override
        public int barriers() {
            return (refresh == null ? 0 : 1) + (lowBand == null ? 0 : steps());
        }

        @Override
        public StageReport.Leg settings() {
            return new StageReport.Leg(
                    row,
                    windows.settings(),
                    refresh == null ? null : refresh.report(),
                    told,
                    lowBand == null ? null : lowBand.report());
        }
    }

    /**
     * How the clean latents of one stage become the canvas of the next.
     *
     * @param height latent rows of the stage before
     * @param width latent columns
     * @param enlarge how they grow
     * @param upscaling networks that enlarge; null: none
     * @param sharpen weight of an unsharp mask after that; 0: none
     */
    record Refresh(
            int height,
            int width,
            RelayStage.Enlarge enlarge,
            @Nullable Upscaling upscaling,
            double sharpen) {
        /** Whether it takes the way through pixels. */
        public boolean inPixels() {
            return enlarge != RelayStage.Enlarge.LATENT;
        }

        private StageReport.Refresh report() {
            return new StageReport.Refresh(
                    new Size(width, height),
                    enlarge,
                    upscaling == null ? List.of() : upscaling.report().files(),
                    sharpen);
        }
    }

    /**
     * What low frequencies of a stage get instead.
     *
     * @param filter that takes them out
     * @param height latent rows that {@link RelayStage.LowPass#BILINEAR} reduces to
     * @param width latent columns alike
     * @param guidanceScale classifier-free guidance scale, at least 1
     * @param heldSteps first steps whose predictions have those of the refreshed canvas
     */
    record LowBand(
            RelayStage.LowPass filter, int height, int width, double guidanceScale, int heldSteps) {
        private StageReport.LowBand report() {
            return new StageReport.LowBand(filter, guidanceScale, heldSteps);
        }
    }

    /**
     * The first steps of ScaleCrafter: the whole canvas in one view, by the network with run-time
     * dilation. In the first {@code dampedSteps} a second, less dilated call gives the unconditional
     * output that guidance starts from.
     *
     * @param height latent rows of the canvas
     * @param width latent columns
     * @param groups of convolutions, in the order of the network's input
     * @param dilation factors of the steps
     * @param damping factors of the second call
     * @param dampedSteps at most all of the stage's
     */
    record Dilated(
            int height,
            int width,
            Guidance guidance,
            List<String> groups,
            Dilation dilation,
            Dilation damping,
            int dampedSteps)
            implements Stage {
        public Dilated {
            groups = List.copyOf(groups);
        }

        @Override
        public Dilated guidedDuring(int first, int end) {
            return new Dilated(
                    height,
                    width,
                    guidance.during(first, end),
                    groups,
                    dilation,
                    damping,
                    dampedSteps);
        }

        /** Whether step {@code k} has noise-damped guidance, and so a second call. */
        public boolean dampedAt(int k) {
            return k < dampedSteps && guidance.holds(k);
        }

        private int damped() {
            return guidance.count(dampedSteps);
        }

        @Override
        public long denoiserRows() {
            return Stage.super.denoiserRows() + damped();
        }

        @Override
        public int firstStep() {
            return 0;
        }

        @Override
        public int steps() {
            return dilation.steps();
        }

        @Override
        public int views() {
            return 1;
        }

        @Override
        public int viewHeight() {
            return height;
        }

        @Override
        public int viewWidth() {
            return width;
        }

        @Override
        public String name() {
            return "dilated";
        }

        @Override
        public Network network() {
            return Network.DILATED;
        }

        @Override
        public int barriers() {
            return steps();
        }

        /** Whether two steps have the same factors in the same calls. */
        public boolean sameNetwork(int a, int b) {
            boolean damped = dampedAt(a);
            return dilation.at(a).equals(dilation.at(b))
                    && damped == dampedAt(b)
                    && (!damped || damping.at(a).equals(damping.at(b)));
        }

        /** The unconditional row alone is half an evaluation; a half left over counts as one. */
        @Override
        public long evaluations() {
            return steps() + (damped() + 1L) / 2;
        }

        /** The view, and where steps are damped the same once more. */
        @Override
        public List<Call> calls(int viewBatch) {
            Call view = new Call(0, 1, 1);
            return dampedSteps == 0 ? List.of(view) : List.of(view, view);
        }

        /** The second call has the unconditional row alone. */
        @Override
        public List<CallShape> callShapes(int viewBatch) {
            List<CallShape> shapes =
                    new ArrayList<>(new Call(0, 1, 1).shapes(rowCounts(), height, width).toList());
            if (damped() > 0) {
                shapes.add(new CallShape(1, height, width));
            }
            return shapes;
        }

        @Override
        public long runs(int viewBatch) {
            return steps() + (long) damped();
        }

        @Override
        public StageReport.Dilated settings() {
            return new StageReport.Dilated(
                    dilation.factors(),
                    dampedSteps > 0 ? damping.factors() : Map.of(),
                    dilation.course(),
                    dampedSteps,
                    bySteps(dilation, steps()),
                    bySteps(damping, dampedSteps));
        }

        /** Factors of the first {@code count} steps, those together that have the same. */
        private static List<StageReport.Factors> bySteps(Dilation factors, int count) {
            List<StageReport.Factors> runs = new ArrayList<>();
            for (int first = 0, k = 1; k <= count; k++) {
                if (k == count || !factors.at(k).equals(factors.at(first))) {
                    runs.add(new StageReport.Factors(first, k - 1, factors.at(first)));
                    first = k;
                }
            }
            return runs;
        }
    }

    /**
     * What windows that hold no object get (SPEC §10).
     *
     * @param objectShare a window holds the object if at least this share of its cells does, (0, 1]
     * @param guidanceScale classifier-free guidance scale of the others
     * @param prompt of the others; null: the request's
     */
    record Background(double objectShare, double guidanceScale, @Nullable String prompt) {
        private StageReport.Background report() {
            return new StageReport.Background(objectShare, guidanceScale, prompt);
        }
    }

    /**
     * The stage's calls: as few as {@code viewBatch} views a call allow, all of one size in ascending
     * index but for the last one, which has what is left. Fixed by the request, never by the devices
     * at hand.
     */
    default List<Call> calls(int viewBatch) {
        return calls(0, views(), callSize(views(), viewBatch));
    }

    /** Views of a call where {@code views} are cut into as few calls as the view batch allows, evenly. */
    static int callSize(int views, int viewBatch) {
        return Math.ceilDiv(views, Math.ceilDiv(views, viewBatch));
    }

    private static List<Call> calls(int first, int views, int room) {
        int size = callSize(views, room);
        List<Call> calls = new ArrayList<>();
        for (int i = 0; i < views; i += size) {
            calls.add(new Call(first + i, Math.min(size, views - i), room));
        }
        return List.copyOf(calls);
    }

    /**
     * Views {@code first .. first + count - 1} in one UNet call.
     *
     * @param room views that a GPU is called with, the same in all calls of a stage: for every new shape
     *     ONNX Runtime's CUDA provider has cuDNN plan each convolution anew
     */
    record Call(int first, int count, int room) {
        /** Its shapes on the CPU, by the rows that a view has in some step. */
        private Stream<CallShape> shapes(List<Integer> rows, int height, int width) {
            return rows.stream().map(each -> new CallShape(count * each, height, width));
        }
    }
}
