// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.PlanReport;
import io.github.asg4j.Size;
import io.github.asg4j.model.CallShape;
import io.github.asg4j.model.Flops;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.stream.Stream;

/**
 * All that will be done for a request, decided before any work: data only.
 *
 * @param method name of the method
 * @param canvas what is drawn on
 * @param stages in order
 * @param text that conditions the stages; null: there is none, or it has not been looked at
 * @param controls control networks, in the order in which their outputs are added
 * @param decoding of the latents; null: there are none, a picture is given
 * @param encoding of the largest picture that becomes latents; null: none does
 * @param upscaling what becomes of the decoded picture; null: it is of the size asked for
 * @param steps of the schedule
 * @param viewBatch views per call at most ({@link Stage#calls})
 * @param workers that share the work
 * @param arithmetic of the denoiser
 * @param flops of the networks; null: the bundle does not say them
 * @param memory bytes it takes of the host
 * @param devices bytes it takes of each GPU's worker, by name; empty on the CPU
 */
public record Plan(
        String method,
        Canvas canvas,
        List<Stage> stages,
        @Nullable TextWork text,
        List<ControlWork> controls,
        @Nullable Decoding decoding,
        @Nullable Encoding encoding,
        @Nullable Upscaling upscaling,
        int steps,
        int viewBatch,
        int workers,
        Arithmetic arithmetic,
        @Nullable Flops flops,
        MemoryEstimate memory,
        SequencedMap<String, MemoryEstimate> devices) {

    /**
     * One per latent and step; a pair of a conditional and an unconditional row is one, a row that
     * is run beside such a pair a half.
     */
    public long guidedEvaluations() {
        return stages.stream().mapToLong(Stage::evaluations).sum();
    }

    /** Evaluations of its outermost layers alone. */
    public long shallowEvaluations() {
        return stages.stream().mapToLong(Stage::shallowEvaluations).sum();
    }

    /**
     * What the denoiser is given, in guided evaluations of native size: a conditional and an
     * unconditional row of native size together are 1, a view of four times the cells is 4.
     */
    public double nativeEvaluations() {
        long cells = stages.stream().mapToLong(Stage::denoiserCells).sum();
        return cells / (2.0 * canvas.nativeHeight() * canvas.nativeWidth());
    }

    /**
     * Floating-point operations of the denoiser, and of the VAE in refreshes between stages and in the
     * picture's decode; null: the bundle does not say them.
     */
    private PlanReport.@Nullable Operations operations() {
        if (flops == null) {
            return null;
        }
        double denoiser = stages.stream().mapToDouble(stage -> stage.flops(flops)).sum();
        return Double.isNaN(denoiser)
                ? null
                : new PlanReport.Operations(
                        denoiser, vaeFlops(flops, !devices.isEmpty()), vaeFlops(flops, true));
    }

    private double vaeFlops(Flops flops, boolean anew) {
        double vae = decoding == null ? 0 : decoding.flops(flops, anew);
        for (int i = 0; i < stages.size(); i++) {
            if (stages.get(i) instanceof Stage.Leg leg
                    && leg.refresh() != null
                    && leg.refresh().inPixels()) {
                // Before the first stage it is a given picture.
                vae += i == 0 ? 0 : decoded(leg.refresh()).flops(flops, anew);
                vae += encoded(leg.windows()).flops(flops, anew);
            }
        }
        return vae;
    }

    private Decoding decoded(Stage.Refresh refresh) {
        return Objects.requireNonNull(decoding).of(refresh.height(), refresh.width());
    }

    private Encoding encoded(Stage.Windows next) {
        return Objects.requireNonNull(encoding).of(next.y().canvas(), next.x().canvas());
    }

    /**
     * Refuses work that needs more memory than there is.
     *
     * @param limit bytes there are
     * @throws io.github.asg4j.OutOfMemoryException naming need, limit and what would need less
     */
    public void requireMemory(long limit) {
        memory.require(limit, "of memory", this);
    }

    /**
     * The same of a GPU's worker.
     *
     * @param device its name; one that this plan has no estimate of is not held against anything
     */
    public void requireMemory(String device, long limit) {
        MemoryEstimate own = devices.get(device);
        if (own != null) {
            own.require(limit, "on " + device, this);
        }
    }

    /** The same with the prompts, whose embeddings and encoders its memory then has. */
    public Plan withText(@Nullable TextWork prompts) {
        if (prompts == null) {
            return this;
        }
        long calls = prompts.workerBytes(stages, viewBatch);
        SequencedMap<String, MemoryEstimate> each = new LinkedHashMap<>();
        for (var device : devices.entrySet()) {
            long changed = each.isEmpty() ? prompts.changedBytes() : 0; // where the encoders are
            MemoryEstimate own = device.getValue().withText(changed, prompts.bytes() + calls);
            each.put(device.getKey(), own);
        }
        MemoryEstimate host =
                devices.isEmpty()
                        ? memory.withText(prompts.changedBytes(), prompts.bytes() + workers * calls)
                        : memory.withText(0, prompts.bytes());
        return new Plan(
                method,
                canvas,
                stages,
                prompts,
                controls,
                decoding,
                encoding,
                upscaling,
                steps,
                viewBatch,
                workers,
                arithmetic,
                flops,
                host,
                each);
    }

    /** Whether the canvas of a stage comes from the stage before, or from a given picture, by a refresh. */
    public boolean refreshes(int stage) {
        return stage < stages.size()
                && stages.get(stage) instanceof Stage.Leg leg
                && leg.refresh() != null;
    }

    /** Whether the denoiser or an upscaler takes more than a patch or a window at a time. */
    boolean drawsWhole() {
        return (upscaling != null && !upscaling.passes().isEmpty())
                || stages.stream()
                        .anyMatch(
                                s ->
                                        (long) s.viewHeight() * s.viewWidth()
                                                > 2L * canvas.y().patch() * canvas.x().patch());
    }

    /** Calls of the UNet's session. */
    public long unetRuns() {
        return stages.stream().mapToLong(s -> s.runs(viewBatch)).sum();
    }

    /** Shapes of a denoiser's calls on the CPU. */
    public List<CallShape> callShapes(Stage.Network network) {
        return callShapes(stages, viewBatch, network);
    }

    /** The same of some stages. */
    public static List<CallShape> callShapes(
            List<Stage> stages, int viewBatch, Stage.Network network) {
        return stages.stream()
                .filter(stage -> stage.network() == network)
                .flatMap(stage -> stage.callShapes(viewBatch).stream())
                .distinct()
                .toList();
    }

    /** How often denoisers are compiled, but for the outermost layers alone, which are small. */
    public static int compiledShapes(List<Stage> stages, int viewBatch) {
        return Stream.of(Stage.Network.values())
                .mapToInt(network -> callShapes(stages, viewBatch, network).size())
                .sum();
    }

    /** Moments at which all workers wait for each other. */
    public int barriers() {
        int passes = upscaling == null ? 0 : upscaling.passes().size();
        return stages.stream().mapToInt(Stage::barriers).sum() + passes;
    }

    /** What a caller is told of it. */
    public PlanReport report() {
        SequencedMap<String, PlanReport.Memory> each = new LinkedHashMap<>();
        devices.forEach((name, bytes) -> each.put(name, bytes.report()));
        return new PlanReport(
                method,
                new Size(canvas.x().pixels(), canvas.y().pixels()),
                new Size(canvas.x().patches(), canvas.y().patches()),
                new Size(canvas.x().patch(), canvas.y().patch()),
                new Size(canvas.width(), canvas.height()),
                new Size(canvas.widthPixels(), canvas.heightPixels()),
                steps,
                viewBatch,
                arithmetic.precision(),
                arithmetic.provider(),
                arithmetic.holding().word(),
                arithmetic.compiles() ? compiledShapes(stages, viewBatch) : 0,
                stages.stream().map(stage -> stage.report(viewBatch)).toList(),
                text == null ? null : text.report(),
                controls.stream().map(control -> control.report(stages)).toList(),
                decoding == null ? null : decoding.report(canvas),
                encoding == null ? null : encoding.summary(),
                upscaling == null ? null : upscaling.report(),
                barriers(),
                guidedEvaluations(),
                nativeEvaluations(),
                shallowEvaluations(),
                unetRuns(),
                stages.stream().mapToLong(Stage::denoiserRows).sum(),
                operations(),
                memory.report(),
                each);
    }
}
