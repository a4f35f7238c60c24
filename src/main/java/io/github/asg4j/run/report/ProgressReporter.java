// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.report;

import io.github.asg4j.AttentionReport;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.PatchReport;
import io.github.asg4j.PreviewImage;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.denoise.Keep;
import io.github.asg4j.run.denoise.PatchRun;
import io.github.asg4j.run.denoise.StageRun;
import io.github.asg4j.run.picture.Crop;
import io.github.asg4j.run.picture.LatentsDecoder;
import io.github.asg4j.run.picture.Pixels;
import io.github.asg4j.run.picture.TileUnits;
import io.github.asg4j.run.work.Cancellation;
import io.github.asg4j.run.work.WorkScheduler;
import io.github.asg4j.run.worker.Flight;
import io.github.asg4j.run.worker.RequestContext;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Tells a request's listener how far it is, with previews and patches where it asked for them. Called
 * by the request's thread, which looks at the {@link WorkScheduler} now and then.
 */
public final class ProgressReporter {
    private final RequestContext context;
    private final WorkScheduler scheduler;
    private final Cancellation cancellation;
    private final Audience audience;
    private final LatentsDecoder decoder;

    private List<StageRun> stages = List.of();

    /** Steps told of, by stage. */
    private int[] stepsSeen = {};

    private boolean patchesReported;
    private int tilesSeen;

    /** The stage at work, for the flight recorder. */
    private Flight.@Nullable Stage flight;

    /**
     * A listener and what it asked for before the request began: it is not to be called under the
     * scheduler's lock.
     *
     * @param keep what the stages keep for it
     * @param previewEvery steps from one preview to the next; 0: none
     */
    public record Audience(GuardedListener listener, Keep keep, int previewEvery) {}

    /**
     * @param decoder makes the previews
     */
    public ProgressReporter(
            RequestContext context,
            WorkScheduler scheduler,
            Cancellation cancellation,
            Audience audience,
            LatentsDecoder decoder) {
        this.context = context;
        this.scheduler = scheduler;
        this.cancellation = cancellation;
        this.audience = audience;
        this.decoder = decoder;
    }

    /**
     * Tells of {@code step} of {@code of} steps.
     *
     * @throws io.github.asg4j.CancelledException the request was cancelled
     */
    public void event(String stage, int step, int of) {
        cancellation.check();
        if (step == 0) {
            flight = Flight.stage(stage, of);
        } else if (step == of) {
            Flight.commit(flight);
            flight = null;
        }
        long elapsed = context.times().totalNanos();
        audience.listener.tell(l -> l.onEvent(new GenerationEvent(stage, step, of, elapsed)));
    }

    /** Before the workers begin with the stages. */
    public void begin(List<StageRun> stages) {
        this.stages = stages;
        stepsSeen = new int[stages.size()];
        fly(0);
        if (previews()) {
            requestPreview(stages.getFirst());
        }
    }

    /** Begins the flight recorder's event of a stage, if there is one of that index. */
    private void fly(int stage) {
        if (stage < stages.size()) {
            var next = stages.get(stage).stage();
            flight = Flight.stage(next.name(), next.steps());
        }
    }

    /** Looks at the stages and tells what is new. */
    public void lookAtStages() {
        for (int i = 0; i < stages.size(); i++) {
            StageRun run = stages.get(i);
            int steps = scheduler.look(run, run::joinedSteps);
            boolean ended = scheduler.look(run, run::ended);
            boolean preview = previews() && scheduler.look(run, run::previewReady);
            if (steps > stepsSeen[i]) {
                stepsSeen[i] = steps;
                event(run.stage().name(), steps, run.stage().steps());
                if (steps == run.stage().steps()) {
                    fly(i + 1);
                }
                if (previews() && steps == run.stage().steps() && i + 1 < stages.size()) {
                    requestPreview(stages.get(i + 1));
                }
            }
            if (ended && run instanceof PatchRun patches && !patchesReported) {
                patchesReported = true;
                reportPatches(patches);
            }
            if (preview) {
                PreviewImage image = preview(run);
                audience.listener.tell(l -> l.onPreview(image));
                requestPreview(run);
            }
        }
    }

    /** Before the workers begin with the tiles of a picture. */
    public void begin(TileUnits tiles) {
        tilesSeen = 0;
        event(tiles.name(), 0, tiles.units());
    }

    /** Looks at the tiles of a picture and tells what is new. */
    public void lookAtTiles(TileUnits tiles) {
        int done = scheduler.look(tiles, tiles::completed);
        if (done > tilesSeen) {
            tilesSeen = done;
            event(tiles.name(), done, tiles.units());
        }
    }

    private boolean previews() {
        return audience.keep.previews();
    }

    private void requestPreview(StageRun run) {
        scheduler.request(run, progress -> run.requestPreview(audience.previewEvery, progress));
    }

    private PreviewImage preview(StageRun run) {
        MemorySegment clean = run.previewCanvas(context.kernels());
        Canvas canvas = context.canvas();
        Stage.Windows win = run.stage().canvasWindows();
        Pixels pixels =
                win != null && win.smallerThan(canvas)
                        ? wholly(clean, win.y().canvas(), win.x().canvas())
                        : decoded(clean, canvas.height(), canvas.width(), Crop.of(canvas));
        return preview(pixels, run, run.previewStep() + 1);
    }

    private static PreviewImage preview(Pixels pixels, StageRun run, int step) {
        return new PreviewImage(
                pixels.width(), pixels.height(), pixels.rgb(), run.stage().name(), step);
    }

    private Pixels wholly(MemorySegment latents, int height, int width) {
        int factor = context.canvas().y().factor();
        return decoded(latents, height, width, new Crop(0, 0, height * factor, width * factor));
    }

    private Pixels decoded(MemorySegment latents, int height, int width, Crop crop) {
        return context.times().vae(() -> decoder.preview(latents, height, width, crop));
    }

    /** Tells of stage 1: the attention of all steps, the patches as they ended. */
    private void reportPatches(PatchRun run) {
        if (audience.keep.attention()) {
            for (AttentionReport report :
                    PatchReports.attention(run, context.manifest(), context.memory())) {
                audience.listener.tell(l -> l.onAttention(report));
            }
        }
        if (audience.keep.patches()) {
            Canvas canvas = context.canvas();
            List<PreviewImage> pictures = new ArrayList<>();
            MemorySegment clean = run.switchedClean().read(context.memory());
            for (int i = 0; i < canvas.patches(); i++) {
                long bytes = canvas.patchPlane() * Float.BYTES;
                MemorySegment one = clean.asSlice(i * bytes, bytes);
                Pixels pixels = wholly(one, canvas.y().patch(), canvas.x().patch());
                pictures.add(preview(pixels, run, run.stage().steps()));
            }
            PatchReport report =
                    PatchReports.patches(
                            run,
                            canvas,
                            context.planned().schedule(),
                            clean,
                            pictures,
                            context.memory());
            audience.listener.tell(l -> l.onPatches(report));
        }
    }
}
