// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/**
 * All that will be done for a request, decided before any work: data only.
 *
 * @param method name of the method
 * @param canvas what is drawn on
 * @param stages in order
 * @param decoding of the latents; null: there are none, a picture is given
 * @param upscaling what becomes of the decoded picture; null: it is of the size asked for
 * @param steps of the schedule
 * @param viewBatch views per call at most ({@link Stage#calls})
 * @param workers that share the work
 * @param memory bytes it takes of the host
 * @param devices bytes it takes of each GPU's worker, by name; empty on the CPU
 */
public record Plan(
        String method,
        Canvas canvas,
        List<Stage> stages,
        @Nullable Decoding decoding,
        @Nullable Upscaling upscaling,
        int steps,
        int viewBatch,
        int workers,
        MemoryEstimate memory,
        SequencedMap<String, MemoryEstimate> devices) {

    /**
     * One per latent and step; a pair of a conditional and an unconditional row is one, a row that
     * is run beside such a pair a half.
     */
    public long guidedEvaluations() {
        return stages.stream().mapToLong(Stage::evaluations).sum();
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

    /** Moments at which all workers wait for each other. */
    public int barriers() {
        int passes = upscaling == null ? 0 : upscaling.passes().size();
        return stages.stream().mapToInt(Stage::barriers).sum() + passes;
    }

    /** What was decided by the method and the request, by the names of reports; in order. */
    public Map<String, Object> settings() {
        Map<String, Object> map = new LinkedHashMap<>();
        stages.forEach(s -> map.putAll(s.settings()));
        if (decoding != null) {
            map.put("vae", decoding.summary());
        }
        if (upscaling != null) {
            map.putAll(upscaling.settings());
        }
        return map;
    }

    /** Ordered, for text and JSON. */
    public Map<String, Object> describe() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("method", method);
        map.put("width", canvas.x().pixels());
        map.put("height", canvas.y().pixels());
        map.put("patches", List.of(canvas.x().patches(), canvas.y().patches()));
        map.put("patch_latents", List.of(canvas.x().patch(), canvas.y().patch()));
        map.put("canvas_latents", List.of(canvas.width(), canvas.height()));
        map.put("canvas_pixels", List.of(canvas.widthPixels(), canvas.heightPixels()));
        map.put("steps", steps);
        map.put("view_batch", viewBatch);
        map.put("stages", stages.stream().map(s -> describe(s)).toList());
        if (decoding != null) {
            map.put("vae", decoding.describe());
        }
        if (upscaling != null) {
            map.put("upscaling", upscaling.describe());
        }
        map.put("barriers", barriers());
        map.put("guided_evaluations", guidedEvaluations());
        map.put("unet_runs", unetRuns());
        map.put("bytes", memory.describe());
        if (!devices.isEmpty()) {
            Map<String, Object> each = new LinkedHashMap<>();
            devices.forEach((name, bytes) -> each.put(name, bytes.describe()));
            map.put("bytes_by_device", each);
        }
        return map;
    }

    private Map<String, Object> describe(Stage stage) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("name", stage.name());
        map.put("steps", stage.steps());
        map.put("views", stage.views());
        map.put("view_latents", List.of(stage.viewWidth(), stage.viewHeight()));
        map.put("calls", stage.calls(viewBatch).size());
        map.put("guidance_scale", stage.guidanceScale());
        map.put("rows_per_view", stage.rows());
        map.put("barriers", stage.barriers());
        Stage.Windows windows = stage.canvasWindows();
        if (windows != null) {
            map.put("canvas_latents", List.of(windows.x().canvas(), windows.y().canvas()));
            map.put("grid", List.of(windows.x().count(), windows.y().count()));
        }
        if (stage instanceof Stage.Phase phase) {
            map.put("dilated_views", phase.dilatedViews());
            map.put("dilated_latents", List.of(phase.dilatedWidth(), phase.dilatedHeight()));
        }
        map.putAll(stage.settings());
        if (stage instanceof Stage.Dilated d) {
            map.put("dilation_by_step", d.courseOf(d.dilation(), d.steps()));
            if (d.dampedSteps() > 0) {
                map.put("damped_dilation_by_step", d.courseOf(d.damping(), d.dampedSteps()));
            }
        }
        return map;
    }
}
