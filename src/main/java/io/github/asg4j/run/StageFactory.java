// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.plan.Axis;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.RegionWindows;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.denoise.Conditioning;
import io.github.asg4j.run.denoise.DemoFusionPhaseRun;
import io.github.asg4j.run.denoise.KeptPicture;
import io.github.asg4j.run.denoise.ObjectMask;
import io.github.asg4j.run.denoise.PatchRun;
import io.github.asg4j.run.denoise.ScaleCrafterRun;
import io.github.asg4j.run.denoise.StageContext;
import io.github.asg4j.run.denoise.StageRun;
import io.github.asg4j.run.denoise.WindowRun;
import io.github.asg4j.run.start.StartLatents;
import io.github.asg4j.run.work.WorkScheduler;
import io.github.asg4j.run.worker.RequestContext;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Workers;
import io.github.asg4j.schedule.Level;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Makes the stages of a plan: each begins where the one before ends. */
final class StageFactory {
    private static final long FLOATS_OF_MOMENTS = 2 * Double.BYTES / Float.BYTES;

    private final RequestContext request;
    private final StageContext context;
    private final WorkScheduler scheduler;
    private final StartLatents start;
    private final Canvas canvas;
    private final Workers workers;
    private final @Nullable InpaintMask mask;
    private final Map<Integer, LatentsRefresh.Handover> handovers = new HashMap<>();

    /** Decided by stage 1, read by the windows after it; null: all windows are alike. */
    private @Nullable ObjectMask objectMask;

    private StageFactory(
            RequestContext request,
            StageContext context,
            WorkScheduler scheduler,
            StartLatents start,
            @Nullable InpaintMask mask) {
        this.request = request;
        this.context = context;
        this.scheduler = scheduler;
        this.start = start;
        this.mask = mask;
        canvas = context.canvas();
        workers = context.workers();
    }

    /**
     * The stages of a request.
     *
     * @param runs in order
     * @param objectMask by which windows with an object are told from background; null: none are
     * @param handovers what is handed to the stages that are refreshed, by stage
     */
    record Stages(
            List<StageRun> runs,
            @Nullable ObjectMask objectMask,
            Map<Integer, LatentsRefresh.Handover> handovers) {
        LatentsRefresh.Handover handover(int stage) {
            return Objects.requireNonNull(handovers.get(stage), "a stage that is not refreshed");
        }
    }

    /**
     * Makes the stages and adds them to the scheduler.
     *
     * @param mask of which the stages of a relay keep cells; null: all is drawn
     */
    static Stages stages(
            RequestContext request,
            StageContext context,
            WorkScheduler scheduler,
            StartLatents start,
            @Nullable InpaintMask mask) {
        StageFactory factory = new StageFactory(request, context, scheduler, start, mask);
        List<StageRun> runs = factory.runs();
        runs.forEach(scheduler::add);
        return new Stages(runs, factory.objectMask, Map.copyOf(factory.handovers));
    }

    private List<StageRun> runs() {
        List<StageRun> runs = new ArrayList<>();
        SharedTensor current = workers.of(start.first(), "start of the first stage");
        SharedTensor anchor = workers.floats(FLOATS_OF_MOMENTS, "moments of the first phase");
        for (Stage stage : request.plan().stages()) {
            boolean first = runs.stream().noneMatch(DemoFusionPhaseRun.class::isInstance);
            StageRun run =
                    switch (stage) {
                        case Stage.Patches patches -> patches(patches);
                        case Stage.Windows windows -> windows(windows, current);
                        case Stage.Leg leg -> leg(leg, runs.size(), current);
                        case Stage.Phase phase ->
                                new DemoFusionPhaseRun(phase, context, current, anchor, first);
                        case Stage.Dilated dilated -> dilated(dilated, current);
                    };
            runs.add(run);
            current = run.result();
        }
        return List.copyOf(runs);
    }

    private PatchRun patches(Stage.Patches stage) {
        SharedTensor lastMask = lastMask();
        return new PatchRun(
                stage,
                context,
                scheduler,
                request.planned().maskBlocks().stream().mapToInt(Integer::intValue).toArray(),
                start.patches(),
                lastMask,
                objectMask);
    }

    /** The mask of stage 1's last step, where windows ask for it; else null. */
    private @Nullable SharedTensor lastMask() {
        for (Stage stage : request.plan().stages()) {
            if (stage instanceof Stage.Windows windows && windows.background() != null) {
                MemorySegment mask =
                        workers.memory()
                                .floats(canvas.patchPlane() / canvas.channels(), "object mask");
                for (long i = 0; i < mask.byteSize() / 4; i++) {
                    mask.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1); // a prompt without a token
                }
                objectMask = new ObjectMask(canvas, windows, windows.background().objectShare());
                return workers.of(mask, "object mask");
            }
        }
        return null;
    }

    private WindowRun windows(Stage.Windows stage, SharedTensor current) {
        return new WindowRun(
                stage,
                context(stage),
                noise(stage, current),
                stage.background() == null ? null : objectMask,
                prompts(stage));
    }

    /** What a stage of windows is made with. */
    private StageContext context(Stage stage) {
        LoadedModel model = request.model();
        return stage.caches() ? context.with(request.ofEachWorker(model::cachedDenoiser)) : context;
    }

    /** Row of the conditioning that each window has where it holds an object. */
    private int[] prompts(Stage.Windows stage) {
        int[] rows = RegionWindows.of(stage, canvas, request.request().windows().regions());
        for (int view = 0; view < rows.length; view++) {
            rows[view] = rows[view] < 0 ? Conditioning.PROMPT : Conditioning.REGIONS + rows[view];
        }
        return rows;
    }

    /** What a stage begins with: at native size the first patch alone. */
    private SharedTensor noise(Stage.Windows stage, SharedTensor current) {
        if (!stage.smallerThan(canvas)) {
            return current;
        }
        MemorySegment patch = start.patches().asSlice(0, canvas.patchPlane() * Float.BYTES);
        return workers.of(patch, "first patch");
    }

    /** A stage of a relay; the workers read what it is handed only once the refresh has written it. */
    private WindowRun leg(Stage.Leg leg, int index, SharedTensor current) {
        if (leg.refresh() == null) {
            StageContext own = context(leg).ofLeg(leg.told(), null);
            return new WindowRun(leg, own, noise(leg.windows(), current), MemorySegment.NULL);
        }
        Stage.Windows windows = leg.windows();
        long plane = (long) canvas.channels() * windows.y().canvas() * windows.x().canvas();
        MemorySegment clean = workers.memory().floats(plane, "refreshed latents");
        MemorySegment noised = workers.memory().floats(plane, "refreshed canvas");
        KeptPicture.Cells cells = mask == null ? null : cells(leg, mask);
        handovers.put(index, new LatentsRefresh.Handover(leg, clean, noised, cells));
        StageContext own = context(leg).ofLeg(leg.told(), cells == null ? null : kept(leg, cells));
        return new WindowRun(leg, own, workers.of(noised, "refreshed canvas"), clean);
    }

    /** What a stage of a relay keeps; the refresh writes its latents and noise. */
    private KeptPicture.Cells cells(Stage.Leg leg, InpaintMask mask) {
        Memory memory = workers.memory();
        int height = leg.windows().y().canvas();
        int width = leg.windows().x().canvas();
        long plane = (long) canvas.channels() * height * width;
        return new KeptPicture.Cells(
                memory.floats(plane, "latents of the start picture"),
                memory.floats(plane, "noise of the start picture"),
                mask.kept(height, width, memory));
    }

    /** The last step of a stage before the last leads to clean latents. */
    private KeptPicture kept(Stage.Leg leg, KeptPicture.Cells cells) {
        List<Level> levels = request.planned().schedule().levels();
        int end = leg.firstStep() + leg.steps();
        boolean last = end == levels.size() - 1;
        int factor = canvas.y().factor();
        int height = leg.windows().y().canvas();
        int width = leg.windows().x().canvas();
        Canvas own =
                new Canvas(
                        new Axis(height * factor, 1, height, factor),
                        new Axis(width * factor, 1, width, factor),
                        canvas.channels(),
                        canvas.nativeHeight(),
                        canvas.nativeWidth());
        return new KeptPicture(
                own,
                t -> t + 1 == end && !last ? Level.CLEAN : levels.get(t + 1),
                context.seed(),
                workers,
                cells,
                request.kernels());
    }

    private ScaleCrafterRun dilated(Stage.Dilated stage, SharedTensor current) {
        LoadedModel model = request.model();
        return new ScaleCrafterRun(
                stage, context.with(request.ofEachWorker(model::dilatedDenoiser)), current);
    }
}
