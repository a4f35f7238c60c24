// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static io.github.asg4j.PictureSetting.BACKGROUND_GUIDANCE_SCALE;
import static io.github.asg4j.PictureSetting.BACKGROUND_PROMPT;
import static io.github.asg4j.PictureSetting.BLUR;
import static io.github.asg4j.PictureSetting.COSINE_SCALE_1;
import static io.github.asg4j.PictureSetting.COSINE_SCALE_2;
import static io.github.asg4j.PictureSetting.COSINE_SCALE_3;
import static io.github.asg4j.PictureSetting.DAMPED_DILATION;
import static io.github.asg4j.PictureSetting.DAMPED_STEPS;
import static io.github.asg4j.PictureSetting.DILATED_STEPS;
import static io.github.asg4j.PictureSetting.DILATION;
import static io.github.asg4j.PictureSetting.DILATION_COURSE;
import static io.github.asg4j.PictureSetting.GUIDE_SCHEDULE;
import static io.github.asg4j.PictureSetting.GUIDE_SPACE;
import static io.github.asg4j.PictureSetting.GUIDE_UPSAMPLING;
import static io.github.asg4j.PictureSetting.GUIDE_WEIGHT;
import static io.github.asg4j.PictureSetting.INTERACTION;
import static io.github.asg4j.PictureSetting.JITTER;
import static io.github.asg4j.PictureSetting.MASK;
import static io.github.asg4j.PictureSetting.MASK_BLOCKS;
import static io.github.asg4j.PictureSetting.MASK_NORM;
import static io.github.asg4j.PictureSetting.MASK_TOKENS;
import static io.github.asg4j.PictureSetting.OBJECT_SHARE;
import static io.github.asg4j.PictureSetting.PATCHES;
import static io.github.asg4j.PictureSetting.PRESET;
import static io.github.asg4j.PictureSetting.REGIONS;
import static io.github.asg4j.PictureSetting.STAGE1_STEPS;
import static io.github.asg4j.PictureSetting.STAGE2_GUIDANCE_SCALE;
import static io.github.asg4j.PictureSetting.STAGES;
import static io.github.asg4j.PictureSetting.STALENESS;
import static io.github.asg4j.PictureSetting.UPSCALERS;
import static io.github.asg4j.PictureSetting.WINDOW_CONDITIONING;
import static io.github.asg4j.PictureSetting.WINDOW_STRIDE;
import static io.github.asg4j.PictureSetting.WINDOW_WEIGHT;

import io.github.asg4j.StageReport.Guidance;
import io.github.asg4j.StageReport.Overlap;

import org.jspecify.annotations.Nullable;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reports of pictures, plans and engines as JSON, the same that the command line prints with {@code
 * --json}: ordered maps whose values are String, Boolean, Number, List or Map.
 */
public final class ReportJson {
    /** Key of the process's peak memory in a picture's JSON. */
    public static final String PROCESS_PEAK_BYTES = "process_peak_bytes";

    private static final MathContext FIVE_DIGITS = new MathContext(5);

    private ReportJson() {}

    /** What an engine draws with. */
    public static Map<String, Object> map(EngineInfo engine) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("devices", engine.devices());
        map.put("devices_reason", engine.devicesReason());
        if (!engine.gpus().isEmpty()) {
            map.put("gpus", engine.gpus());
        }
        map.put("threads_per_worker", engine.threadsPerWorker());
        map.put("kernels", engine.kernels());
        map.put("kernels_reason", engine.kernelsReason());
        map.put("kernels_usable", engine.kernelsUsable());
        map.put("precision", engine.precision());
        map.put("precision_reason", engine.precisionReason());
        map.put("provider", engine.provider());
        map.put("weights", engine.weights());
        map.put("weights_reason", engine.weightsReason());
        engine.selfTests().forEach(test -> map.put(key(test), map(test)));
        map.put("model", engine.model());
        map.put("default_method", engine.usualMethod().name());
        map.put("licence", engine.licence());
        putVae(map, engine.vae());
        if (!engine.controls().isEmpty()) {
            Map<String, Object> networks = new LinkedHashMap<>();
            engine.controls()
                    .forEach(
                            network ->
                                    networks.put(
                                            network.name(),
                                            network.problem().isEmpty()
                                                    ? network.sha256()
                                                    : network.problem()));
            map.put("control_networks", networks);
        }
        map.put("bundle_sha256", engine.bundleSha256());
        map.put("native_size", pair(engine.nativeSize()));
        map.put("onnxruntime", engine.onnxRuntime());
        map.put("memory_limit", engine.memoryLimit());
        return map;
    }

    /** The key of a self-test in the map of its engine. */
    public static String key(EngineInfo.SelfTest test) {
        return test.name() + "_self_test";
    }

    private static Map<String, Object> map(EngineInfo.SelfTest test) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("status", test.passed() ? "OK" : "FAIL");
        map.put("result", test.result());
        return map;
    }

    /** What a request would take. */
    public static Map<String, Object> map(PlanReport plan) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("method", plan.method());
        map.put("width", plan.size().width());
        map.put("height", plan.size().height());
        map.put("patches", pair(plan.patches()));
        map.put("patch_latents", pair(plan.patchLatents()));
        map.put("canvas_latents", pair(plan.canvasLatents()));
        map.put("canvas_pixels", pair(plan.canvasPixels()));
        map.put("steps", plan.steps());
        map.put("view_batch", plan.viewBatch());
        map.put("precision", plan.precision());
        map.put("provider", plan.provider());
        map.put("weights", plan.weights());
        if (plan.compiledShapes() > 0) {
            map.put("compiled_shapes", plan.compiledShapes());
        }
        map.put("stages", plan.stages().stream().map(ReportJson::map).toList());
        PlanReport.Text text = plan.text();
        if (text != null) {
            Map<String, Object> said = new LinkedHashMap<>();
            said.put("chunks", text.chunks());
            said.put("tokens", text.tokens());
            said.put("prompts", text.prompts());
            map.put("text", said);
        }
        if (!plan.controls().isEmpty()) {
            map.put("controls", plan.controls().stream().map(ReportJson::map).toList());
        }
        PlanReport.Decoding decoding = plan.decoding();
        if (decoding != null) {
            Map<String, Object> vae = new LinkedHashMap<>();
            vae.put("decoded", decoding.summary());
            if (plan.encoded() != null) {
                vae.put("encoded", plan.encoded());
            }
            vae.put("tile_pixels", decoding.tilePixels());
            vae.put("at_once", decoding.atOnce());
            map.put("vae", vae);
        }
        PlanReport.Upscaling upscaling = plan.upscaling();
        if (upscaling != null) {
            map.put("upscaling", map(upscaling));
        }
        map.put("barriers", plan.barriers());
        map.put("guided_evaluations", plan.guidedEvaluations());
        map.put("native_evaluations", plan.nativeEvaluations());
        if (plan.shallowEvaluations() > 0) {
            map.put("shallow_evaluations", plan.shallowEvaluations());
        }
        map.put("unet_runs", plan.unetRuns());
        map.put("unet_rows", plan.unetRows());
        PlanReport.Operations operations = plan.operations();
        if (operations != null) {
            Map<String, Object> tera = new LinkedHashMap<>();
            tera.put("denoiser", tera(operations.denoiser()));
            tera.put("vae", tera(operations.vae()));
            tera.put("vae_on_gpus", tera(operations.vaeOnGpus()));
            map.put("tflop", tera);
        }
        map.put("bytes", map(plan.memory()));
        if (!plan.deviceMemory().isEmpty()) {
            Map<String, Object> each = new LinkedHashMap<>();
            plan.deviceMemory().forEach((name, bytes) -> each.put(name, map(bytes)));
            map.put("bytes_by_device", each);
        }
        return map;
    }

    /** In 10^12, to five digits. */
    private static double tera(double operations) {
        return new BigDecimal(operations).movePointLeft(12).round(FIVE_DIGITS).doubleValue();
    }

    private static Map<String, Object> map(PlanReport.ControlNetwork control) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("network", control.name());
        map.put("steps", control.steps());
        map.put("rows", control.rows());
        map.put("weights", control.weights());
        return map;
    }

    private static Map<String, Object> map(StageReport stage) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("name", stage.name());
        map.put("steps", stage.steps());
        map.put("views", stage.views());
        map.put("view_latents", pair(stage.viewLatents()));
        map.put("calls", stage.calls());
        map.put("guidance_scale", stage.guidanceScale());
        map.put("rows_per_view", stage.rowsPerView());
        if (stage.guidedSteps() != null) {
            map.put("guided_steps", stage.guidedSteps().toString());
        }
        map.put("barriers", stage.barriers());
        StageReport.Windows windows = stage.settings().windowed();
        if (windows != null) {
            map.put("canvas_latents", pair(windows.canvasLatents()));
            map.put("grid", pair(windows.grid()));
            StageReport.Cache cache = windows.cache();
            if (cache != null) {
                map.put("whole_steps", cache.wholeSteps());
                map.put("shallow_steps", cache.shallowSteps());
            }
        }
        if (stage.settings() instanceof StageReport.Phase phase) {
            map.put("dilated_views", phase.dilatedViews());
            map.put("dilated_latents", pair(phase.dilatedLatents()));
        }
        if (stage.settings() instanceof StageReport.Leg leg) {
            map.put("told_pixels", pair(leg.told()));
            leg(map, leg);
        }
        settings(stage)
                .forEach(
                        (name, value) -> map.put(name == STAGES ? "row" : name.key(), json(value)));
        if (stage.settings() instanceof StageReport.Dilated dilated) {
            map.put("dilation_by_step", bySteps(dilated.dilationBySteps()));
            if (dilated.dampedSteps() > 0) {
                map.put("damped_dilation_by_step", bySteps(dilated.dampingBySteps()));
            }
        }
        return map;
    }

    /** What a stage of a relay has beside its row of the table. */
    private static void leg(Map<String, Object> map, StageReport.Leg leg) {
        StageReport.Refresh refresh = leg.refresh();
        if (refresh != null) {
            map.put("refreshed_latents", pair(refresh.latents()));
            map.put("enlarge", OptionNames.of(refresh.enlarge()));
            if (!refresh.upscalers().isEmpty()) {
                map.put("upscalers", refresh.upscalers());
            }
        }
        StageReport.LowBand low = leg.lowBand();
        if (low != null) {
            map.put("low_pass", OptionNames.of(low.filter()));
            map.put("low_guidance_scale", low.guidanceScale());
            map.put("held_steps", low.heldSteps());
        }
    }

    private static Map<String, Object> map(PlanReport.Upscaling upscaling) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("passes", upscaling.passes().stream().map(ReportJson::map).toList());
        Size resampled = upscaling.resampledTo();
        if (resampled != null) {
            map.put("resampled_to", pair(resampled));
        }
        map.put("tiles", upscaling.tiles());
        map.put("picture_bytes", upscaling.pictureBytes());
        map.put("worker_bytes", upscaling.workerBytes());
        return map;
    }

    private static Map<String, Object> map(PlanReport.Pass pass) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("file", pass.file());
        map.put("scale", pass.scale());
        map.put("pixels", pair(pass.pixels()));
        map.put("tiles", pass.tiles());
        map.put("overlap", pass.overlap());
        map.put("times_the_pixels", pass.timesThePixels());
        if (!Double.isNaN(pass.tileError())) {
            map.put("tile_error", pass.tileError());
        }
        return map;
    }

    private static Map<String, Object> map(PlanReport.Memory memory) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("weights", memory.weights());
        map.put("latents", memory.latents());
        map.put("workers", memory.workers());
        map.put("workspace", memory.workspace());
        map.put("vae", memory.vae());
        map.put("picture", memory.picture());
        map.put("total", memory.total());
        return map;
    }

    /** How a picture came about. */
    public static Map<String, Object> map(PictureReport report) {
        GenerationRequest request = report.request();
        PlanReport plan = report.plan();
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("width", report.size().width());
        map.put("height", report.size().height());
        map.put("seed", Seed.number(request.seed()));
        Long towards = request.variation().seed();
        if (towards != null && request.variation().changes()) {
            map.put("variation_seed", Seed.number(towards));
            map.put("variation_strength", request.variation().strength());
        }
        map.put("method", request.method());
        map.put("prompt", request.prompt());
        map.put("negative_prompt", request.negativePrompt());
        if (request.prompts().syntax() != PromptOptions.Syntax.PLAIN) {
            map.put("prompt_syntax", OptionNames.of(request.prompts().syntax()));
        }
        if (request.prompts().clipSkip().isPresent()) {
            map.put("clip_skip", request.prompts().clipSkip().getAsInt());
        }
        map.put("prompt_cut", report.cut().prompt());
        map.put("negative_prompt_cut", report.cut().negativePrompt());
        map.put("steps", plan.steps());
        map.put("scheduler", report.sampling().scheduler());
        map.put("spacing", report.sampling().spacing());
        map.put("eta", report.sampling().eta());
        map.put("guidance_scale", report.sampling().guidanceScale());
        if (request.guidanceInterval() != null) {
            map.put("guidance_interval", request.guidanceInterval().toString());
        }
        if (request.cacheInterval() > 1) {
            map.put("cache_interval", request.cacheInterval());
        }
        map.putAll(decided(report));
        map.put("paper_defaults", request.paperDefaults());
        if (request.image() != null) {
            map.put("image", request.image().toString());
        }
        if (request.image() != null && request.imageFit() != ImageFit.EXACT) {
            map.put("image_fit", OptionNames.of(request.imageFit()));
        }
        InpaintOptions inpaint = request.inpaint();
        if (!inpaint.borders().equals(InpaintOptions.Borders.NONE)) {
            map.put("outpaint", inpaint.borders().toString());
        }
        if (inpaint.keeps()) {
            if (inpaint.mask() != null) {
                map.put("inpaint", inpaint.mask().toString());
            }
            map.put("inpaint_blur", inpaint.blur());
            map.put("inpaint_inverted", inpaint.inverted());
            if (inpaint.area() == InpaintOptions.Area.MASKED) {
                map.put("inpaint_area", OptionNames.of(inpaint.area()));
                map.put("inpaint_padding", inpaint.padding());
                map.put("drawn_size", pair(plan.size()));
            }
        }
        if (report.sampling().strength().isPresent()) {
            map.put("strength", report.sampling().strength().getAsDouble());
        }
        map.put("devices", report.devices().names());
        map.put("lost_devices", report.devices().lost());
        map.put("view_batch", plan.viewBatch());
        map.put("threads_per_worker", report.devices().threadsPerWorker());
        map.put("kernels", report.devices().kernels());
        map.put("precision", plan.precision());
        map.put("provider", plan.provider());
        map.put("weights", plan.weights());
        map.put("barriers", plan.barriers());
        map.put("guided_evaluations", plan.guidedEvaluations());
        if (plan.shallowEvaluations() > 0) {
            map.put("shallow_evaluations", plan.shallowEvaluations());
        }
        map.put("unet_runs", plan.unetRuns());
        map.put("model", report.model());
        putVae(map, report.vae());
        if (!report.loras().isEmpty()) {
            map.put("loras", report.loras().stream().map(ReportJson::map).toList());
        }
        if (!report.embeddings().isEmpty()) {
            map.put("embeddings", report.embeddings().stream().map(ReportJson::map).toList());
        }
        if (!report.controls().isEmpty()) {
            map.put("controls", report.controls().stream().map(ReportJson::map).toList());
        }
        map.put("version", report.version());
        map.put("bundle_sha256", report.bundleSha256());
        map.put("pixels_sha256", report.pixelsSha256());
        map.put("peak_bytes", report.memory().devices());
        map.put("host_bytes", report.memory().host());
        map.put(PROCESS_PEAK_BYTES, report.memory().process());
        map.put("times_ms", map(report.times()));
        return map;
    }

    private static void putVae(Map<String, Object> map, EngineInfo.@Nullable VaeFile vae) {
        if (vae != null) {
            Map<String, Object> file = new LinkedHashMap<>();
            file.put("file", vae.file().toString());
            file.put("sha256", vae.sha256());
            map.put("vae", file);
        }
    }

    private static Map<String, Object> map(PictureReport.AppliedControl applied) {
        Control control = applied.control();
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("network", control.network());
        map.put("network_sha256", applied.networkSha256());
        map.put("picture", control.picture().toString());
        map.put("picture_sha256", applied.pictureSha256());
        control.putSettings(map);
        return map;
    }

    private static Map<String, Object> map(PictureReport.AppliedEmbedding embedding) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("name", embedding.name());
        map.put("sha256", embedding.sha256());
        return map;
    }

    private static Map<String, Object> map(PictureReport.AppliedLora lora) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("file", lora.file().toString());
        map.put("weight", lora.weight());
        map.put("sha256", lora.sha256());
        return map;
    }

    /** Where a picture's time went, milliseconds. */
    public static Map<String, Object> map(PictureReport.Times times) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("load", times.load());
        map.put("total", times.total());
        map.put("text", times.text());
        map.put("unet", times.unet());
        map.put("kernels", times.kernels());
        map.put("exchange", times.exchange());
        map.put("wait", times.waiting());
        map.put("vae", times.vae());
        times.upscale().ifPresent(upscale -> map.put("upscale", upscale));
        return map;
    }

    /** The part of a picture's JSON that says what its method decided. */
    public static Map<String, Object> decided(PictureReport report) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put(PATCHES.key(), pair(report.plan().patches()));
        stages(report.plan()).forEach((name, value) -> map.put(name.key(), json(value)));
        if (report.decoded() != null) {
            map.put("vae", report.decoded());
        }
        PlanReport.Upscaling upscaling = report.plan().upscaling();
        if (upscaling != null) {
            map.put(UPSCALERS.key(), upscaling.files());
            map.put("upscaler_tiles", upscaling.tiles());
        }
        asked(report.request()).forEach((name, value) -> map.put(name.key(), value));
        report.backgroundWindows().ifPresent(n -> map.put("background_windows", n));
        return map;
    }

    /**
     * What the method of a picture decided, in the order of the constants. A value is a String, a number, a
     * {@link Size} or a list.
     */
    public static Map<PictureSetting, Object> settings(PictureReport report) {
        Map<PictureSetting, Object> map = new EnumMap<>(PictureSetting.class);
        map.put(PATCHES, report.plan().patches());
        map.putAll(stages(report.plan()));
        map.putAll(asked(report.request()));
        PlanReport.Upscaling upscaling = report.plan().upscaling();
        if (upscaling != null) {
            map.put(UPSCALERS, upscaling.files());
        }
        return map;
    }

    private static Map<PictureSetting, Object> stages(PlanReport plan) {
        Map<PictureSetting, Object> map = new LinkedHashMap<>();
        plan.stages().forEach(stage -> map.putAll(settings(stage)));
        if (map.containsKey(STAGES)) {
            map.put(STAGES, RelayStage.text(table(plan)));
        }
        return map;
    }

    /** The table of a relay. */
    private static List<RelayStage> table(PlanReport plan) {
        return plan.stages().stream()
                .filter(stage -> stage.settings() instanceof StageReport.Leg)
                .map(stage -> ((StageReport.Leg) stage.settings()).row())
                .toList();
    }

    /** The preset, and parts of maps, that a request chose. */
    private static Map<PictureSetting, Object> asked(GenerationRequest request) {
        Map<PictureSetting, Object> map = new LinkedHashMap<>();
        LegOptions.Preset preset = request.legs().preset();
        if (preset != null) {
            map.put(PRESET, OptionNames.of(preset));
        }
        List<Region> regions = request.windows().regions();
        if (!regions.isEmpty()) {
            map.put(REGIONS, regions.stream().map(Region::toString).toList());
        }
        if (!request.guide().maskBlocks().isEmpty()) {
            map.put(MASK_BLOCKS, request.guide().maskBlocks());
        }
        if (!request.guide().maskTokens().isEmpty()) {
            map.put(MASK_TOKENS, request.guide().maskTokens());
        }
        return map;
    }

    /**
     * What a stage decided, in the order of JSON. A value is a String, a number or a {@link Size}.
     */
    static Map<PictureSetting, Object> settings(StageReport stage) {
        Map<PictureSetting, Object> map = new LinkedHashMap<>();
        switch (stage.settings()) {
            case StageReport.Patches patches -> patches(map, patches, stage.steps());
            case StageReport.Windows windows -> windows(map, windows, stage.name());
            case StageReport.Phase phase -> {
                windows(map, phase.windows(), stage.name());
                if (phase.windows().guidanceScale() != stage.guidanceScale()) {
                    map.put(STAGE2_GUIDANCE_SCALE, phase.windows().guidanceScale());
                }
                map.put(COSINE_SCALE_1, phase.skipExponent());
                map.put(COSINE_SCALE_2, phase.dilatedExponent());
                map.put(COSINE_SCALE_3, phase.blurExponent());
                map.put(BLUR, phase.blur());
            }
            case StageReport.Leg leg -> {
                windows(map, leg.windows(), stage.name());
                map.put(STAGES, leg.row().toString());
            }
            case StageReport.Dilated dilated -> {
                map.put(DILATION, OptionNames.of(dilated.dilation()));
                map.put(DILATION_COURSE, OptionNames.of(dilated.course()));
                map.put(DILATED_STEPS, stage.steps());
                if (dilated.dampedSteps() > 0) {
                    map.put(DAMPED_DILATION, OptionNames.of(dilated.damping()));
                    map.put(DAMPED_STEPS, dilated.dampedSteps());
                }
            }
        }
        return map;
    }

    private static void patches(
            Map<PictureSetting, Object> map, StageReport.Patches patches, int steps) {
        Guidance guidance = patches.guidance();
        if (guidance != null) {
            map.put(GUIDE_SPACE, OptionNames.of(guidance.space()));
            map.put(GUIDE_UPSAMPLING, OptionNames.of(guidance.upsampling()));
            map.put(GUIDE_WEIGHT, guidance.weight());
            map.put(GUIDE_SCHEDULE, OptionNames.of(guidance.schedule()));
            map.put(MASK, OptionNames.of(guidance.mask()));
            map.put(MASK_NORM, OptionNames.of(guidance.maskNorm()));
            map.put(STALENESS, guidance.staleness());
        }
        int n = patches.interactionSteps();
        map.put(INTERACTION, n == 0 ? "off" : n >= steps ? "every" : Integer.toString(n));
        map.put(STAGE1_STEPS, steps);
    }

    private static void windows(
            Map<PictureSetting, Object> map, StageReport.Windows windows, String stage) {
        Overlap overlap = windows.overlap();
        if (overlap != null) {
            map.put(WINDOW_STRIDE, axes(overlap.stride()));
            map.put(JITTER, axes(overlap.jitter()));
            map.put(WINDOW_WEIGHT, OptionNames.of(overlap.weight()));
            map.put(WINDOW_CONDITIONING, OptionNames.of(overlap.conditioning()));
            if (stage.equals("stage2")) {
                map.put(STAGE2_GUIDANCE_SCALE, windows.guidanceScale());
            }
        }
        StageReport.Background background = windows.background();
        if (background != null) {
            map.put(OBJECT_SHARE, background.objectShare());
            map.put(BACKGROUND_GUIDANCE_SCALE, background.guidanceScale());
            if (background.prompt() != null) {
                map.put(BACKGROUND_PROMPT, background.prompt());
            }
        }
    }

    /** One number where both axes have it. */
    private static Object axes(Size size) {
        return size.width() == size.height() ? (Object) size.width() : size;
    }

    /** A setting's value as JSON. */
    private static Object json(Object value) {
        return value instanceof Size size ? pair(size) : value;
    }

    private static List<Integer> pair(Size size) {
        return List.of(size.width(), size.height());
    }

    /** Factors by the steps that have them, as in "0-8". */
    private static Map<String, Object> bySteps(List<StageReport.Factors> all) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (StageReport.Factors each : all) {
            String steps = Integer.toString(each.first());
            map.put(
                    each.first() == each.last() ? steps : steps + "-" + each.last(),
                    OptionNames.of(each.factors()));
        }
        return map;
    }
}
