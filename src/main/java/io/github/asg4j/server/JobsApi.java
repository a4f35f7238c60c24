// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.ReportJson;
import io.github.asg4j.RequestOption;
import io.github.asg4j.Seed;
import io.github.asg4j.image.PictureEncoding;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Pictures that are asked for now and fetched later; what the page uses. */
final class JobsApi {
    private static final String BASE = "/asg/v1";

    /** A start picture in base64 and what is asked of it. */
    static final int MAX_JSON_BYTES = 48 << 20;

    private static final int MAX_PREVIEWS = 100;
    private static final int MAX_REMEMBERED = 1000;

    private final Studio.Door door;
    private final RequestReader reader;

    /** Jobs by the client and the key under which it may ask for the same again. */
    private final Map<List<String>, String> idempotent =
            new LinkedHashMap<>() {
                private static final long serialVersionUID = 1L;

                @Override
                protected boolean removeEldestEntry(Map.Entry<List<String>, String> eldest) {
                    return size() > MAX_REMEMBERED;
                }
            };

    JobsApi(Studio.Door door, RequestReader reader) {
        this.door = door;
        this.reader = reader;
    }

    List<Route> routes() {
        return List.of(
                Route.get(BASE + "/capabilities", this::capabilities),
                Route.post(BASE + "/plan", this::plan),
                Route.post(BASE + "/jobs", this::create),
                Route.get(BASE + "/jobs", this::list),
                Route.get(BASE + "/jobs/{id}", this::show),
                Route.delete(BASE + "/jobs/{id}", this::delete),
                Route.get(BASE + "/jobs/{id}/events", this::events),
                Route.get(BASE + "/jobs/{id}/preview", this::preview),
                Route.get(BASE + "/jobs/{id}/picture", this::picture));
    }

    static String path(Job job) {
        return BASE + "/jobs/" + job.id();
    }

    static String picturePath(Job job) {
        return path(job) + "/picture";
    }

    private void capabilities(Exchange exchange) throws IOException {
        Studio studio = door.studio();
        Model model = studio.model(exchange.query("model"));
        ObjectNode answer = Json.object().put("version", Engine.version());
        answer.putObject("model")
                .put("name", model.name())
                .put("sha256", model.hash())
                .put("native_width", model.nativeWidth())
                .put("native_height", model.nativeHeight())
                .put("size_multiple", model.sizeMultiple());
        ArrayNode models = answer.putArray("models");
        for (Models.State each : studio.models().states()) {
            models.addObject().put("name", each.name()).put("loaded", each.loaded());
        }
        ArrayNode controls = answer.putArray("controls");
        for (EngineInfo.ControlNetwork each : model.engine().describe().controls()) {
            if (each.problem().isEmpty()) {
                controls.addObject().put("name", each.name()).put("sha256", each.sha256());
            }
        }
        answer.putObject("defaults")
                .put("method", model.usualMethod().name())
                .put("steps", model.steps());
        ArrayNode methods = answer.putArray("methods");
        Engine.methods().forEach(methods::add);
        ArrayNode formats = answer.putArray("output_formats");
        Output.formats().forEach(formats::add);
        Limits limits = exchange.client().limits();
        answer.putObject("limits")
                .put("pixels", limits.pixels())
                .put("steps", limits.steps())
                .put("pictures", limits.pictures())
                .put("queue", studio.jobs().capacity());
        ArrayNode options = answer.putArray("options");
        for (RequestOption<?> option : RequestReader.options()) {
            ObjectNode row =
                    options.addObject()
                            .put("key", option.key())
                            .put("section", option.section().name().toLowerCase(Locale.ROOT))
                            .put("values", option.type().label())
                            .put("description", option.description(Engine::defaults));
            ArrayNode having = row.putArray("methods");
            option.methods().forEach(having::add);
        }
        exchange.answer(answer);
    }

    private void plan(Exchange exchange) throws IOException {
        Studio studio = door.studio();
        ObjectNode body = exchange.json(MAX_JSON_BYTES);
        Model model = studio.takeModel(body);
        Work work = Jobs.plan(exchange.client(), model, reader.read(body, null, 1).get(0));
        exchange.answer(Json.MAPPER.<JsonNode>valueToTree(ReportJson.map(work.plan())));
    }

    private void create(Exchange exchange) throws IOException {
        Studio studio = door.studio();
        ObjectNode body = exchange.json(MAX_JSON_BYTES);
        String key = exchange.header("Idempotency-Key");
        Job known = key == null ? null : known(exchange.client(), key, studio.jobs());
        if (known != null) {
            exchange.header("Location", path(known));
            exchange.answer(200, view(known));
            return;
        }
        Model model = studio.takeModel(body);
        JsonNode format = body.remove("output_format");
        JsonNode previews = body.remove("previews");
        PictureEncoding output =
                Output.of(format == null || format.isNull() ? null : format.asText(), null);
        int most = previews == null || previews.isNull() ? 0 : previews(previews);
        Job job =
                studio.jobs()
                        .create(exchange.client(), model, reader.read(body, null, 1), output, most)
                        .get(0);
        if (key != null) {
            synchronized (idempotent) {
                idempotent.put(List.of(exchange.client().name(), key), job.id());
            }
        }
        exchange.note("job", job.id());
        exchange.header("Location", path(job));
        exchange.answer(202, view(job));
    }

    private @Nullable Job known(Client client, String key, Jobs jobs) {
        String id;
        synchronized (idempotent) {
            id = idempotent.get(List.of(client.name(), key));
        }
        return id == null ? null : jobs.find(client, id);
    }

    private static int previews(JsonNode value) {
        if (!value.isInt() || value.asInt() < 0 || value.asInt() > MAX_PREVIEWS) {
            throw Refusal.invalidValue(
                    "previews",
                    "\"previews\" is " + value + ", not a whole number from 0 to " + MAX_PREVIEWS);
        }
        return value.asInt();
    }

    private void list(Exchange exchange) throws IOException {
        ObjectNode answer = Json.object();
        ArrayNode jobs = answer.putArray("jobs");
        door.studio().jobs().list(exchange.client()).forEach(job -> jobs.add(view(job)));
        exchange.answer(answer);
    }

    private Job find(Exchange exchange) {
        String id = exchange.pathValue("id");
        Job job = door.studio().jobs().find(exchange.client(), id);
        if (job == null) {
            throw Refusal.notFound(
                    "there is no job \"" + id + "\" of yours: finished ones are kept for a while");
        }
        return job;
    }

    private void show(Exchange exchange) throws IOException {
        exchange.answer(view(find(exchange)));
    }

    /** Cancels a job that has not ended, and forgets one that has. */
    private void delete(Exchange exchange) throws IOException {
        Job job = find(exchange);
        Jobs jobs = door.studio().jobs();
        if (job.progress().status().isEnd()) {
            jobs.forget(job);
        } else {
            jobs.cancel(job);
        }
        exchange.answer(view(job));
    }

    private void picture(Exchange exchange) throws IOException {
        Job job = find(exchange);
        Job.Result result = job.result();
        if (result == null) {
            throw Refusal.invalid(
                    409,
                    "no_picture",
                    null,
                    "the job has no picture, it is " + word(job.progress().status()));
        }
        exchange.header("Cache-Control", "private, max-age=3600, immutable");
        exchange.timing(List.of(result));
        exchange.answer(200, job.output().format().mediaType(), result.file());
    }

    private void preview(Exchange exchange) throws IOException {
        Picture preview = find(exchange).progress().preview();
        if (preview == null) {
            throw Refusal.notFound("there is no preview now");
        }
        exchange.header("Cache-Control", "no-store");
        exchange.answer(200, Output.PREVIEW.format().mediaType(), preview.as(Output.PREVIEW));
    }

    private void events(Exchange exchange) throws Exception {
        Job job = find(exchange);
        Progress last = null;
        long seen = lastEvent(exchange);
        EventStream events = exchange.stream();
        Progress progress = job.progress();
        while (true) {
            if (progress.version() > seen || progress.status().isEnd()) {
                send(events, job, progress, last);
                last = progress;
            }
            if (progress.status().isEnd()) {
                break;
            }
            progress = job.next(events, progress);
        }
        events.end();
    }

    private static long lastEvent(Exchange exchange) {
        String id = exchange.header("Last-Event-ID");
        try {
            return id == null ? -1 : Long.parseLong(id);
        } catch (NumberFormatException e) {
            return -1;
        }
    }

    private static void send(EventStream events, Job job, Progress now, @Nullable Progress last)
            throws IOException {
        long id = now.version();
        if (last == null || now.previews() > last.previews()) {
            if (now.preview() != null) {
                ObjectNode preview = Json.object().put("index", now.previews());
                events.send(id, "preview", preview.put("url", path(job) + "/preview"));
            }
        }
        switch (now.status()) {
            case QUEUED -> events.send(id, "queued", Json.object().put("position", now.position()));
            case DRAWING -> events.send(id, "progress", progress(now));
            case COMPLETED -> events.send(id, "done", view(job));
            case FAILED -> events.send(id, "error", Router.error(Job.failure(now)));
            case CANCELLED -> events.send(id, "cancelled", Json.object().put("id", job.id()));
        }
    }

    private static ObjectNode progress(Progress progress) {
        ObjectNode json =
                Json.object()
                        .put("stage", progress.stage())
                        .put("step", progress.step())
                        .put("of", progress.of())
                        .put("share", rounded(progress.share()))
                        .put("seconds", rounded(progress.seconds()));
        if (progress.share() > 0) {
            json.put(
                    "seconds_left",
                    rounded(progress.seconds() / progress.share() * (1 - progress.share())));
        }
        return json;
    }

    private static double rounded(double value) {
        return Math.rint(value * 1000) / 1000;
    }

    private static String word(Progress.Status status) {
        return status.name().toLowerCase(Locale.ROOT);
    }

    /** All that there is to say of a job. */
    static ObjectNode view(Job job) {
        Progress now = job.progress();
        Work work = job.drawing().work();
        ObjectNode json =
                Json.object()
                        .put("id", job.id())
                        .put("status", word(now.status()))
                        .put("url", path(job))
                        .put("created", job.created().getEpochSecond())
                        .put("width", work.width())
                        .put("height", work.height())
                        .put("output_format", job.output().format().word());
        json.putPOJO("seed", Seed.number(job.request().seed()));
        json.set("request", RequestReader.json(job.request()).put("model", job.model().name()));
        Instant ended = job.ended();
        if (ended != null) {
            json.put("ended", ended.getEpochSecond());
        }
        if (now.status() == Progress.Status.QUEUED) {
            json.put("position", now.position());
        }
        if (now.status() == Progress.Status.DRAWING) {
            json.set("progress", progress(now));
        }
        if (now.failure() != null) {
            json.setAll(Router.error(now.failure()));
        }
        Job.Result result = job.result();
        if (result != null) {
            json.put("picture", picturePath(job));
            json.set(
                    "report",
                    Json.MAPPER.<JsonNode>valueToTree(ReportJson.map(result.image().report())));
        }
        return json;
    }
}
