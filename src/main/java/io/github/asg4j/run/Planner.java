// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.method.Method;
import io.github.asg4j.method.Setting;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.MemoryEstimate;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.schedule.Schedule;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.stream.Stream;

/** Turns a request into a {@link Plan} for one bundle; checks all that needs the bundle. */
public final class Planner {
    /** On the CPU one view a call keeps all workers busy; a wider batch gains nothing there. */
    private static final int CPU_VIEW_BATCH = 1;

    private final Manifest manifest;
    private final int workers;
    private final List<String> gpus;
    private final long weightBytes;

    /**
     * @param workers that share the work
     * @param gpus names of the workers if each has a GPU's memory of its own; else empty
     */
    public Planner(Manifest manifest, int workers, List<String> gpus) {
        this.manifest = manifest;
        this.workers = workers;
        this.gpus = List.copyOf(gpus);
        this.weightBytes =
                manifest.files().values().stream().mapToLong(Manifest.FileEntry::bytes).sum();
    }

    /**
     * @throws BadRequestException for a size, method, option or schedule that cannot be
     */
    public Plan plan(GenerationRequest request) {
        Manifest.Latent latent = manifest.latent();
        Method method = Method.of(request.method());
        int factor = latent.vaeFactor();
        Canvas canvas =
                Canvas.of(
                        pixels(request.width(), latent.nativeWidth() * factor),
                        pixels(request.height(), latent.nativeHeight() * factor),
                        factor,
                        latent.unetMultiple(),
                        latent.channels(),
                        latent.nativeHeight(),
                        latent.nativeWidth(),
                        method.aspect(request));
        int steps = request.steps().orElse(manifest.defaults().steps());
        checkPicture(request, method);
        Setting setting = new Setting(request, manifest, canvas, steps, guidanceScale(request));
        List<Stage> stages = method.stages(setting);
        Upscaling upscaling = method.upscaling(setting);
        checkMasks(request, stages);
        checkViews(request, stages);
        int viewBatch = request.viewBatch().orElse(CPU_VIEW_BATCH);
        Manifest.Denoiser denoiser = manifest.denoiser();
        int scale =
                denoiser.fusedAttention()
                        ? MemoryEstimate.NO_SCORES
                        : denoiser.masks().stream().mapToInt(Manifest.Mask::scale).min().orElse(8);
        SequencedMap<String, MemoryEstimate> devices = new LinkedHashMap<>();
        for (String gpu : gpus) {
            // The first has the text encoders and the VAE, each has its own denoiser.
            long weights = devices.isEmpty() ? weights(stages) : denoiserWeights(stages);
            MemoryEstimate own =
                    MemoryEstimate.of(canvas, stages, upscaling, viewBatch, 1, weights, scale);
            devices.put(gpu, own.onDevice());
        }
        MemoryEstimate all =
                MemoryEstimate.of(
                        canvas, stages, upscaling, viewBatch, workers, weights(stages), scale);
        return new Plan(
                request.method(),
                canvas,
                stages,
                upscaling,
                steps,
                viewBatch,
                gpus.isEmpty() ? all : all.beside(),
                devices);
    }

    /** Of all networks; the dilated one holds the denoiser's a second time. */
    private long weights(List<Stage> stages) {
        return weightBytes + (dilated(stages) ? bytes(manifest.denoiser().file()) : 0);
    }

    private long denoiserWeights(List<Stage> stages) {
        return bytes(manifest.denoiser().file()) * (dilated(stages) ? 2 : 1);
    }

    private static boolean dilated(List<Stage> stages) {
        return stages.stream().anyMatch(Stage.Dilated.class::isInstance);
    }

    /** Of a graph and of the weights beside it. */
    private long bytes(String file) {
        return Stream.of(file, file + ".data")
                .map(manifest.files()::get)
                .filter(Objects::nonNull)
                .mapToLong(Manifest.FileEntry::bytes)
                .sum();
    }

    private static int pixels(int wanted, int nativePixels) {
        return wanted == 0 ? 2 * nativePixels : wanted;
    }

    double guidanceScale(GenerationRequest request) {
        return request.guidanceScale()
                .orElse(
                        sampling(request)
                                .guidanceScale()
                                .orElse(manifest.defaults().guidanceScale()));
    }

    /** The scheduler's name. A flow has one solver, whatever a method usually takes. */
    String scheduler(GenerationRequest request) {
        String asked = request.scheduler();
        String usual =
                manifest.scheduler() instanceof Manifest.Flow
                        ? null
                        : sampling(request).scheduler();
        return asked != null ? asked : usual != null ? usual : manifest.scheduler().type();
    }

    private static Method.Sampling sampling(GenerationRequest request) {
        return Method.of(request.method()).sampling(request);
    }

    /**
     * The request's noise schedule.
     *
     * @throws BadRequestException for an unknown scheduler or spacing, or too many steps
     */
    public Schedule schedule(GenerationRequest request) {
        int steps = request.steps().orElse(manifest.defaults().steps());
        String name = scheduler(request);
        String spacing = request.spacing();
        return switch (manifest.scheduler()) {
            case Manifest.Flow flow ->
                    Schedule.of(
                            new Schedule.FlowSettings(flow.trainSteps(), flow.shift()),
                            steps,
                            name,
                            spacing,
                            request.eta().orElse(0));
            case Manifest.Betas betas ->
                    Schedule.of(
                            new Schedule.Settings(
                                    betas.type(),
                                    manifest.denoiser().prediction(),
                                    betas.betaSchedule(),
                                    betas.betaStart(),
                                    betas.betaEnd(),
                                    betas.trainSteps(),
                                    betas.spacing(),
                                    betas.stepsOffset()),
                            steps,
                            name,
                            spacing,
                            request.eta().orElse(sampling(request).eta()));
        };
    }

    /** Whether the denoiser can take views of these sizes. */
    private void checkViews(GenerationRequest request, List<Stage> stages) {
        int max = manifest.latent().maxSize();
        int factor = manifest.latent().vaeFactor();
        for (Stage stage : stages) {
            if (stage.viewHeight() > max || stage.viewWidth() > max) {
                throw new BadRequestException(
                        request.method()
                                + " draws this picture in views of "
                                + stage.viewWidth() * factor
                                + "x"
                                + stage.viewHeight() * factor
                                + " pixels, the bundle \""
                                + manifest.name()
                                + "\" has positions for at most "
                                + max * factor
                                + "x"
                                + max * factor
                                + ": ask for a smaller picture, or for a method that draws in"
                                + " patches, such as --method asg");
            }
        }
    }

    private static void checkPicture(GenerationRequest request, Method method) {
        if (request.image() != null && !method.takesPicture()) {
            List<String> takers =
                    Method.names().stream().filter(n -> Method.of(n).takesPicture()).toList();
            throw new BadRequestException(
                    "the method "
                            + request.method()
                            + " starts from noise and takes no --image: leave it out, or use"
                            + " --method "
                            + String.join(" or ", takers));
        }
    }

    /** Whether the bundle has the maps that the stages weigh with. */
    private void checkMasks(GenerationRequest request, List<Stage> stages) {
        maskBlocks(request.guide());
        boolean background =
                stages.stream()
                        .anyMatch(s -> s instanceof Stage.Windows w && w.background() != null);
        boolean guided =
                stages.stream()
                        .anyMatch(
                                s ->
                                        s instanceof Stage.Patches p
                                                && p.guided()
                                                && p.guide().mask() != GuideOptions.Mask.NONE);
        if (manifest.denoiser().masks().isEmpty() && (background || guided)) {
            throw new BadRequestException(
                    "the bundle \""
                            + manifest.name()
                            + "\" has no attention maps: use --mask none and --object-share 0, or"
                            + " export it again with maps");
        }
    }

    /** Indices of the mask blocks a request uses. */
    int[] maskBlocks(GuideOptions guide) {
        List<Manifest.Mask> masks = manifest.denoiser().masks();
        List<Integer> chosen = new ArrayList<>();
        for (String block : guide.maskBlocks()) {
            int found = -1;
            for (int i = 0; i < masks.size(); i++) {
                found = masks.get(i).block().equals(block) ? i : found;
            }
            if (found < 0) {
                throw new BadRequestException(
                        "unknown mask block \""
                                + block
                                + "\": the bundle has "
                                + String.join(
                                        ", ", masks.stream().map(Manifest.Mask::block).toList()));
            }
            chosen.add(found);
        }
        return guide.maskBlocks().isEmpty()
                ? java.util.stream.IntStream.range(0, masks.size())
                        .filter(i -> masks.get(i).usual())
                        .toArray()
                : chosen.stream().mapToInt(Integer::intValue).sorted().distinct().toArray();
    }
}
