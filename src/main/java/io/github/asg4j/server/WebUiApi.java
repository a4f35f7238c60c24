// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.Engine;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.image.PictureEncoding;
import io.github.asg4j.image.PictureTexts;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.schedule.Sampler;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The API of AUTOMATIC1111's web UI, as far as there is something here that answers to it. Our
 * options are further fields of its requests.
 */
final class WebUiApi {
    private static final String BASE = "/sdapi/v1";
    private static final int MAX_PICTURES = 16;
    private static final int PREVIEWS = 8;

    /** What upscales there without a network, and has no like here. */
    private static final Set<String> UPSCALERS_OF_OTHERS = Set.of("", "none", "lanczos", "nearest");

    private final Studio.Door door;
    private final RequestReader reader;
    private final WebUiModels models;

    WebUiApi(Studio.Door door, RequestReader reader) {
        this.door = door;
        this.reader = reader;
        models = new WebUiModels(door);
    }

    List<Route> routes() {
        List<Route> routes =
                new ArrayList<>(
                        List.of(
                                Route.post(BASE + "/txt2img", x -> draw(x, false)),
                                Route.post(BASE + "/img2img", x -> draw(x, true)),
                                Route.post(BASE + "/extra-single-image", this::enlarge),
                                Route.get(BASE + "/progress", this::progress),
                                Route.post(BASE + "/interrupt", this::interrupt),
                                Route.post(BASE + "/skip", this::interrupt),
                                Route.get(BASE + "/options", models::options),
                                Route.post(BASE + "/options", models::setOptions),
                                Route.get(BASE + "/sd-models", models::list),
                                Route.get(BASE + "/samplers", this::samplers),
                                Route.get(BASE + "/schedulers", this::schedulers),
                                Route.get(BASE + "/upscalers", this::upscalers),
                                Route.get(BASE + "/loras", this::loras),
                                Route.get(
                                        "/controlnet/model_list",
                                        x -> x.answer(WebUiControls.models(door.studio()))),
                                Route.get(
                                        "/controlnet/module_list",
                                        x -> x.answer(WebUiControls.modules())),
                                Route.post(BASE + "/png-info", this::pngInfo)));
        for (String list :
                List.of(
                        "latent-upscale-modes",
                        "sd-vae",
                        "sd-modules",
                        "prompt-styles",
                        "hypernetworks",
                        "face-restorers",
                        "realesrgan-models",
                        "script-info")) {
            routes.add(Route.get(BASE + "/" + list, x -> x.answer(Json.MAPPER.createArrayNode())));
        }
        for (String action :
                List.of(
                        "refresh-loras",
                        "refresh-checkpoints",
                        "refresh-vae",
                        "refresh-embeddings")) {
            routes.add(Route.post(BASE + "/" + action, x -> x.answer(Json.MAPPER.nullNode())));
        }
        routes.add(Route.get(BASE + "/cmd-flags", x -> x.answer(Json.object())));
        for (Map.Entry<String, List<String>> parts :
                Map.of(
                                "embeddings", List.of("loaded", "skipped"),
                                "memory", List.of("ram", "cuda"))
                        .entrySet()) {
            routes.add(
                    Route.get(
                            BASE + "/" + parts.getKey(),
                            x -> {
                                ObjectNode answer = Json.object();
                                parts.getValue().forEach(answer::putObject);
                                x.answer(answer);
                            }));
        }
        routes.add(
                Route.get(
                        BASE + "/scripts",
                        x -> {
                            ObjectNode answer = Json.object();
                            List.of("txt2img", "img2img").forEach(answer::putArray);
                            x.answer(answer);
                        }));
        return routes;
    }

    // Drawing.

    private void draw(Exchange exchange, boolean fromPicture) throws Exception {
        ObjectNode body = exchange.json(JobsApi.MAX_JSON_BYTES);
        Studio studio = door.studio();
        JsonNode checkpoint = body.path("override_settings").path("sd_model_checkpoint");
        Model model = studio.model(models.named(exchange, checkpoint));
        ObjectNode fields = Json.object();
        for (var field : body.properties()) {
            String key = field.getKey();
            // These mean other things there: a mask of img2img is a picture.
            boolean other =
                    List.of("scheduler", "image").contains(key)
                            || (fromPicture && key.equals("mask"));
            if (!other && RequestReader.isOption(key)) {
                fields.set(key, field.getValue());
            }
        }
        copy(body, "cfg_scale", fields, "guidance_scale");
        if (body.path("subseed_strength").asDouble() != 0) {
            copy(body, "subseed_strength", fields, "variation_strength");
            fields.put("variation_seed", body.path("subseed").asLong(-1));
        }
        if (!fields.has("prompt_syntax")) {
            fields.put("prompt_syntax", "a1111");
        }
        clipSkip(body.path("override_settings").path("CLIP_stop_at_last_layers"), fields);
        sampler(body, fields);
        size(body, fields);
        if (body.path("enable_hr").asBoolean()) {
            method(body.path("hr_upscaler").asText("None"), fields);
        }
        byte[] picture = null;
        if (fromPicture) {
            picture = startPicture(body);
            copy(body, "denoising_strength", fields, "strength");
            mask(body, fields);
            fit(body, fields);
        }
        WebUiControls.read(body, picture, fields);
        int count = count(body, "batch_size") * count(body, "n_iter");
        if (count > MAX_PICTURES) {
            throw Refusal.invalidValue(
                    "batch_size",
                    "batch_size x n_iter is "
                            + count
                            + " pictures: ask for up to "
                            + MAX_PICTURES
                            + " at a time");
        }
        List<GenerationRequest> requests = reader.read(fields, picture, count);
        List<Job> jobs = create(exchange, studio.jobs(), model, requests);
        try {
            answer(exchange, jobs, body);
        } finally {
            jobs.forEach(studio.jobs()::cancel);
            jobs.forEach(studio.jobs()::forget);
        }
    }

    private static List<Job> create(
            Exchange exchange, Jobs all, Model model, List<GenerationRequest> requests) {
        List<Job> jobs =
                all.create(exchange.client(), model, requests, PictureEncoding.PNG, PREVIEWS);
        exchange.whenLost(() -> jobs.forEach(all::cancel));
        exchange.note("model", model.name());
        exchange.note("drawn_by", jobs.get(0).drawing().work().plan().method());
        exchange.note("n", jobs.size());
        return jobs;
    }

    /** A setting there, which is 1 unless somebody has changed it. */
    private static void clipSkip(JsonNode layers, ObjectNode fields) {
        if (layers.asInt(1) != 1) {
            fields.set("clip_skip", layers);
        }
    }

    private static void copy(ObjectNode from, String key, ObjectNode to, String as) {
        if (from.hasNonNull(key)) {
            to.set(as, from.get(key));
        }
    }

    private static void sampler(ObjectNode body, ObjectNode fields) {
        String name = body.path("sampler_name").asText("");
        if (name.isEmpty() || name.equals("null")) {
            name = body.path("sampler_index").asText("");
        }
        boolean named = !name.isEmpty() && !name.equals("null");
        if (named) {
            fields.put("scheduler", name);
        }
        // as there: clients send one always, and samplers that take none do not look at it
        if (!named || !Sampler.named(name).solver().takesEta()) {
            fields.remove("eta");
        }
        String spacing = body.path("scheduler").asText("");
        if (!spacing.isEmpty()
                && !spacing.equals("null")
                && !spacing.equalsIgnoreCase("automatic")) {
            fields.put("spacing", spacing);
        }
    }

    private static void size(ObjectNode body, ObjectNode fields) {
        if (!body.hasNonNull("width") && !body.hasNonNull("height")) {
            return;
        }
        long width = pixels(body, "width");
        long height = pixels(body, "height");
        if (body.path("enable_hr").asBoolean()) {
            double scale = body.path("hr_scale").asDouble(2);
            int toWidth = body.path("hr_resize_x").asInt();
            int toHeight = body.path("hr_resize_y").asInt();
            width = toWidth > 0 ? toWidth : Math.round(width * scale);
            height = toHeight > 0 ? toHeight : Math.round(height * scale);
        }
        fields.put("size", width + "x" + height);
    }

    /** White parts of a mask are drawn. */
    private static void mask(ObjectNode body, ObjectNode fields) {
        if (!body.hasNonNull("mask")) {
            return;
        }
        copy(body, "mask", fields, "inpaint");
        fields.put("inpaint_blur", body.path("mask_blur").asDouble(4)); // as there
        if (body.path("inpainting_mask_invert").asInt() == 1) {
            fields.put("inpaint_inverted", true);
        }
        if (body.path("inpaint_full_res").asBoolean(true)) { // as there
            fields.put("inpaint_area", "masked");
            fields.put("inpaint_padding", body.path("inpaint_full_res_padding").asInt(0));
        }
    }

    /** "Just resize", "crop and resize", "resize and fill". */
    private static void fit(ObjectNode body, ObjectNode fields) {
        List<String> modes = List.of("stretch", "crop", "pad");
        int mode = body.path("resize_mode").asInt(0);
        if (mode < 0 || mode >= modes.size()) {
            throw Refusal.invalidValue(
                    "resize_mode",
                    "\"resize_mode\" is "
                            + mode
                            + ": 0 resizes the picture, 1 crops it, 2 fills up beside it");
        }
        boolean part = fields.path("inpaint_area").asText().equals("masked");
        if (!fields.has("image_fit") && !part) { // as there, where a part has its own fit
            fields.put("image_fit", modes.get(mode));
        }
    }

    private static int pixels(ObjectNode body, String key) {
        JsonNode value = body.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return 512; // as there
        }
        if (!value.isInt() || value.asInt() < 1) {
            throw Refusal.invalidValue(key, "\"" + key + "\" is " + value + ", not pixels");
        }
        return value.asInt();
    }

    /** What enlarges there is a method that draws large here. */
    private static void method(String upscaler, ObjectNode fields) {
        if (Engine.methods().contains(upscaler)) {
            fields.put("method", upscaler);
        } else if (!upscaler.startsWith("Latent") && !upscaler.equals("None")) {
            throw Refusal.invalid(
                    422,
                    "invalid_hr_upscaler",
                    "hr_upscaler",
                    "Upscaler not found: \""
                            + upscaler
                            + "\" is none of "
                            + String.join(", ", Engine.methods()));
        }
    }

    private static byte[] startPicture(ObjectNode body) {
        JsonNode pictures = body.path("init_images");
        if (!pictures.isArray() || pictures.size() != 1 || !pictures.get(0).isTextual()) {
            throw Refusal.invalidValue(
                    "init_images", "\"init_images\" is a list of one picture, in base64");
        }
        return RequestReader.decode("init_images", pictures.get(0).asText());
    }

    private static int count(ObjectNode body, String key) {
        JsonNode value = body.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return 1;
        }
        if (!value.isInt() || value.asInt() < 1 || value.asInt() > MAX_PICTURES) {
            throw Refusal.invalidValue(
                    key,
                    "\""
                            + key
                            + "\" is "
                            + value
                            + ", not a whole number from 1 to "
                            + MAX_PICTURES);
        }
        return value.asInt();
    }

    private static void answer(Exchange exchange, List<Job> jobs, ObjectNode body)
            throws Exception {
        List<Job> done = new ArrayList<>();
        List<Job.Result> results = new ArrayList<>();
        ArrayNode images = Json.MAPPER.createArrayNode();
        for (Job job : jobs) {
            Progress end = job.awaitEnd();
            Job.Result result = job.result();
            if (result != null) {
                images.add(result.file());
                results.add(result);
                done.add(job);
            } else if (end.status() == Progress.Status.FAILED) {
                throw Job.failure(end);
            } // else interrupted: the answer has what there is
        }
        ObjectNode parameters = body.deepCopy();
        for (String key : List.of("init_images", "mask", "alwayson_scripts")) {
            if (parameters.has(key)) {
                parameters.putNull(key);
            }
        }
        ObjectNode answer = Json.object();
        answer.set("images", images);
        answer.set("parameters", parameters);
        ObjectNode info = WebUiInfo.of(jobs.get(0), done);
        answer.put("info", Json.MAPPER.writeValueAsString(info));
        exchange.timing(results);
        exchange.answer(answer);
    }

    private void enlarge(Exchange exchange) throws Exception {
        ObjectNode body = exchange.json(JobsApi.MAX_JSON_BYTES);
        Studio studio = door.studio();
        Model model = studio.model(models.chosen(exchange));
        byte[] picture = RequestReader.decode("image", body.path("image").asText());
        ObjectNode fields = Json.object();
        String upscaler = body.path("upscaler_1").asText("");
        boolean named = !UPSCALERS_OF_OTHERS.contains(upscaler.toLowerCase(java.util.Locale.ROOT));
        fields.put("method", "superres");
        if (named) {
            method(upscaler, fields);
        }
        String prompt =
                PngParameters.settings(PictureTexts.of(picture).getOrDefault("parameters", ""))
                        .get("Prompt");
        fields.put("prompt", prompt == null || prompt.isBlank() ? "a detailed picture" : prompt);
        fields.put("prompt_syntax", "a1111"); // in which the text of a picture is written
        fields.put("size", enlarged(body, picture, model.sizeMultiple()));
        List<GenerationRequest> requests = reader.read(fields, picture, 1);
        List<Job> jobs = create(exchange, studio.jobs(), model, requests);
        try {
            ObjectNode answer = Json.object().put("html_info", "");
            Job.Result result = jobs.get(0).join();
            answer.put("image", result.file());
            exchange.timing(List.of(result));
            exchange.answer(answer);
        } finally {
            jobs.forEach(studio.jobs()::cancel);
            jobs.forEach(studio.jobs()::forget);
        }
    }

    private static String enlarged(ObjectNode body, byte[] picture, int multiple) {
        if (body.path("resize_mode").asInt() == 1) {
            return body.path("upscaling_resize_w").asInt()
                    + "x"
                    + body.path("upscaling_resize_h").asInt();
        }
        double scale = body.path("upscaling_resize").asDouble(2);
        java.awt.Dimension size = WebUiInfo.size(picture);
        return rounded(size.width * scale, multiple) + "x" + rounded(size.height * scale, multiple);
    }

    private static long rounded(double pixels, int multiple) {
        return Math.max(1, Math.round(pixels / multiple)) * multiple;
    }

    // Looking on.

    private List<Job> open(Exchange exchange) {
        return door.studio().jobs().list(exchange.client()).stream()
                .filter(job -> !job.progress().status().isEnd())
                .toList();
    }

    private void progress(Exchange exchange) throws IOException {
        List<Job> jobs = open(exchange);
        ObjectNode answer = Json.object();
        Job job = null;
        for (Job each : jobs) {
            if (job == null || each.progress().status() == Progress.Status.DRAWING) {
                job = each;
            }
        }
        Progress now = job == null ? Progress.QUEUED : job.progress();
        double left = now.share() > 0 ? now.seconds() / now.share() * (1 - now.share()) : 0;
        answer.put("progress", now.share()).put("eta_relative", left);
        answer.putObject("state")
                .put("skipped", false)
                .put("interrupted", false)
                .put("stopping_generation", false)
                .put("job", job == null ? "" : job.id())
                .put("job_count", jobs.size())
                .put("job_timestamp", job == null ? "0" : WebUiInfo.timestamp(job))
                .put("job_no", 0)
                .put("sampling_step", now.step())
                .put("sampling_steps", now.of());
        Picture preview = now.preview();
        if (preview != null && !"true".equals(exchange.query("skip_current_image"))) {
            answer.put("current_image", preview.as(Output.PREVIEW));
        } else {
            answer.putNull("current_image");
        }
        answer.putNull("textinfo");
        exchange.answer(answer);
    }

    private void interrupt(Exchange exchange) throws IOException {
        open(exchange).forEach(door.studio().jobs()::cancel);
        exchange.answer(Json.object());
    }

    // What there is.

    private void samplers(Exchange exchange) throws IOException {
        ArrayNode answer = Json.MAPPER.createArrayNode();
        for (Solver solver : Solver.values()) {
            ObjectNode sampler = answer.addObject().put("name", solver.label());
            ArrayNode aliases = sampler.putArray("aliases");
            solver.names().stream()
                    .filter(name -> !name.equals(solver.label()))
                    .forEach(aliases::add);
            sampler.putObject("options");
        }
        exchange.answer(answer);
    }

    private void schedulers(Exchange exchange) throws IOException {
        ArrayNode answer = Json.MAPPER.createArrayNode();
        List<String> names = new ArrayList<>(List.of("automatic"));
        names.addAll(Spacing.ids());
        for (String name : names) {
            answer.addObject()
                    .put("name", name)
                    .put(
                            "label",
                            name.substring(0, 1).toUpperCase(java.util.Locale.ROOT)
                                    + name.substring(1))
                    .putNull("aliases")
                    .put("default_rho", -1)
                    .put("need_inner_model", false);
        }
        exchange.answer(answer);
    }

    private void upscalers(Exchange exchange) throws IOException {
        ArrayNode answer = Json.MAPPER.createArrayNode();
        List<String> names = new ArrayList<>(List.of("None"));
        names.addAll(Engine.methods());
        for (String name : names) {
            answer.addObject()
                    .put("name", name)
                    .putNull("model_name")
                    .putNull("model_path")
                    .putNull("model_url")
                    .put("scale", 4);
        }
        exchange.answer(answer);
    }

    /** Paths are those below the folder: where that is, is nobody's business. */
    private void loras(Exchange exchange) throws IOException {
        ArrayNode answer = Json.MAPPER.createArrayNode();
        for (Path file : door.studio().models().first().engine().promptLoras()) {
            String name = file.getFileName().toString();
            name = name.substring(0, name.lastIndexOf('.'));
            answer.addObject()
                    .put("name", name)
                    .put("alias", name)
                    .put("path", file.toString())
                    .putObject("metadata");
        }
        exchange.answer(answer);
    }

    private void pngInfo(Exchange exchange) throws IOException {
        ObjectNode body = exchange.json(JobsApi.MAX_JSON_BYTES);
        byte[] picture = RequestReader.decode("image", body.path("image").asText());
        Map<String, String> texts = PictureTexts.of(picture);
        String parameters = texts.getOrDefault("parameters", "");
        ObjectNode answer = Json.object().put("info", parameters);
        answer.set("items", Json.MAPPER.<JsonNode>valueToTree(texts));
        answer.set(
                "parameters",
                Json.MAPPER.<JsonNode>valueToTree(PngParameters.settings(parameters)));
        exchange.answer(answer);
    }
}
