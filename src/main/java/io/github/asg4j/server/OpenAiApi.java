// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.ReportJson;
import io.github.asg4j.Seed;
import io.github.asg4j.image.PictureEncoding;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;

/** The Images API of OpenAI, with our options as further fields. */
final class OpenAiApi {
    /** A prompt and options; no pictures. */
    private static final int MAX_JSON_BYTES = 1 << 20;

    private static final int MAX_PICTURES = 10;
    private static final int MAX_PREVIEWS = 3;

    /** Fields of the API that are read. */
    private static final Set<String> READ =
            Set.of(
                    "model",
                    "n",
                    "response_format",
                    "output_format",
                    "output_compression",
                    "background",
                    "stream",
                    "partial_images");

    /** Fields of the API that have no meaning here. */
    private static final Set<String> WITHOUT_EFFECT =
            Set.of(
                    "quality",
                    "style",
                    "user",
                    "safety_identifier",
                    "moderation",
                    "complexity",
                    "input_fidelity");

    private final Studio.Door door;
    private final RequestReader reader;
    private final Instant started = Instant.now();
    private final boolean urls;
    private final boolean logPrompts;

    /**
     * @param urls whether pictures may be fetched by an address that needs no key
     */
    OpenAiApi(Studio.Door door, RequestReader reader, boolean urls, boolean logPrompts) {
        this.door = door;
        this.reader = reader;
        this.urls = urls;
        this.logPrompts = logPrompts;
    }

    List<Route> routes() {
        return List.of(
                Route.post("/v1/images/generations", this::generate),
                Route.post("/v1/images/edits", this::edit),
                Route.get("/v1/models", this::models),
                Route.get("/v1/models/{id}", this::model));
    }

    private void models(Exchange exchange) throws IOException {
        ObjectNode answer = Json.object().put("object", "list");
        ArrayNode data = answer.putArray("data");
        door.studio().models().states().forEach(model -> data.add(describe(model)));
        exchange.answer(answer);
    }

    private void model(Exchange exchange) throws IOException {
        exchange.answer(describe(door.studio().models().state(exchange.pathValue("id"))));
    }

    private ObjectNode describe(Models.State model) {
        return Json.object()
                .put("id", model.name())
                .put("object", "model")
                .put("created", started.getEpochSecond())
                .put("owned_by", "asg4j")
                .put("loaded", model.loaded());
    }

    private void generate(Exchange exchange) throws Exception {
        ObjectNode body = exchange.json(MAX_JSON_BYTES);
        draw(exchange, Call.of("image_generation", body), body, null);
    }

    /**
     * A picture is drawn anew from the one that is sent, or enlarged, as the method has it; with a mask
     * only where that is transparent.
     */
    private void edit(Exchange exchange) throws Exception {
        FormData form = FormData.read(exchange, JobsApi.MAX_JSON_BYTES);
        if (form.pictures().size() != 1) {
            throw Refusal.invalidValue(
                    "image",
                    "there are " + form.pictures().size() + " pictures in \"image\": send one");
        }
        ObjectNode body = form.fields();
        byte[] mask = form.mask();
        if (mask != null) {
            byte[] painted = AlphaMask.painted(mask);
            body.put("inpaint", Base64.getEncoder().encodeToString(painted));
        }
        draw(exchange, Call.of("image_edit", body), body, form.pictures().get(0));
    }

    /**
     * What a request asks for besides the picture itself.
     *
     * @param kind with which the names of events begin
     * @param pictures how many
     * @param previews how many at most while each of them is drawn
     */
    private record Call(
            String kind,
            @Nullable String model,
            int pictures,
            PictureEncoding output,
            boolean url,
            boolean stream,
            int previews) {
        static Call of(String kind, ObjectNode body) {
            String background = text(body, "background");
            if ("transparent".equals(background)) {
                throw Refusal.invalidValue(
                        "background",
                        "background \"transparent\": pictures are opaque here, leave it out");
            }
            Integer quality =
                    body.hasNonNull("output_compression")
                            ? (Integer) integer(body, "output_compression", 0, 100, 100)
                            : null;
            String format = text(body, "response_format");
            if (format != null && !format.equals("url") && !format.equals("b64_json")) {
                throw Refusal.invalidValue(
                        "response_format",
                        "response_format \"" + format + "\" is none of b64_json and url");
            }
            boolean stream = flag(body, "stream");
            return new Call(
                    kind,
                    text(body, "model"),
                    integer(body, "n", 1, MAX_PICTURES, 1),
                    Output.of(text(body, "output_format"), quality),
                    "url".equals(format),
                    stream,
                    stream ? integer(body, "partial_images", 0, MAX_PREVIEWS, 0) : 0);
        }
    }

    private static @Nullable String text(ObjectNode body, String key) {
        JsonNode value = body.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return null;
        }
        if (!value.isTextual()) {
            throw Refusal.invalidValue(key, "\"" + key + "\" is " + value + ", not a text");
        }
        return value.asText();
    }

    private static boolean flag(ObjectNode body, String key) {
        JsonNode value = body.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return false;
        }
        if (!value.isBoolean()) {
            throw Refusal.invalidValue(key, "\"" + key + "\" is " + value + ", not true or false");
        }
        return value.asBoolean();
    }

    private static int integer(ObjectNode body, String key, int least, int most, int otherwise) {
        JsonNode value = body.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isInt() || value.asInt() < least || value.asInt() > most) {
            throw Refusal.invalidValue(
                    key,
                    "\""
                            + key
                            + "\" is "
                            + value
                            + ", not a whole number from "
                            + least
                            + " to "
                            + most);
        }
        return value.asInt();
    }

    private void draw(Exchange exchange, Call call, ObjectNode body, byte @Nullable [] picture)
            throws Exception {
        Studio studio = door.studio();
        if (call.url && !urls) {
            throw Refusal.invalidValue(
                    "response_format",
                    "response_format \"url\": this server asks for keys, which an address does not"
                            + " hold: use b64_json");
        }
        ObjectNode fields = Json.object();
        for (var field : body.properties()) {
            boolean auto =
                    field.getKey().equals("size") && field.getValue().asText().equals("auto");
            if (RequestReader.isOption(field.getKey()) && !auto) {
                fields.set(field.getKey(), field.getValue());
            }
        }
        List<Job> jobs =
                studio.jobs()
                        .create(
                                exchange.client(),
                                studio.model(call.model),
                                reader.read(fields, picture, call.pictures),
                                call.output,
                                call.previews);
        Jobs all = studio.jobs();
        exchange.whenLost(() -> jobs.forEach(all::cancel));
        note(exchange, jobs);
        try {
            List<String> ignored = ignored(body);
            if (call.stream) {
                stream(exchange, jobs, call.kind, ignored);
            } else {
                answer(exchange, jobs, call, ignored);
            }
        } finally {
            jobs.forEach(all::cancel); // those that have not ended: the client is gone
            if (!call.url) {
                jobs.forEach(all::forget);
            }
        }
    }

    private static List<String> ignored(ObjectNode body) {
        List<String> names = RequestReader.unknown(body, READ);
        names.removeAll(WITHOUT_EFFECT);
        return names;
    }

    private void note(Exchange exchange, List<Job> jobs) {
        Job first = jobs.get(0);
        Work work = first.drawing().work();
        exchange.note("model", first.model().name());
        exchange.note("drawn_by", work.plan().method());
        exchange.note("size", work.width() + "x" + work.height());
        exchange.note("steps", work.steps());
        exchange.note("n", jobs.size());
        if (logPrompts) {
            exchange.note("prompt", first.request().prompt());
        }
    }

    private static void answer(Exchange exchange, List<Job> jobs, Call call, List<String> ignored)
            throws Exception {
        List<Job.Result> results = new ArrayList<>();
        for (Job job : jobs) {
            results.add(job.join());
        }
        ObjectNode answer = Json.object().put("created", jobs.get(0).created().getEpochSecond());
        describe(answer, jobs.get(0), results.get(0));
        ArrayNode data = answer.putArray("data");
        ArrayNode reports = Json.MAPPER.createArrayNode();
        for (int i = 0; i < jobs.size(); i++) {
            ObjectNode entry = data.addObject();
            if (call.url) {
                entry.put("url", address(exchange, jobs.get(i)));
            } else {
                entry.put("b64_json", results.get(i).file());
            }
            putSeed(entry, jobs.get(i));
            reports.add(
                    Json.MAPPER.<JsonNode>valueToTree(
                            ReportJson.map(results.get(i).image().report())));
        }
        ObjectNode ours = answer.putObject("asg4j");
        ours.set("reports", reports);
        putIgnored(ours, ignored);
        exchange.timing(results);
        exchange.answer(answer);
    }

    private static void putSeed(ObjectNode entry, Job job) {
        entry.putPOJO("seed", Seed.number(job.request().seed()));
    }

    /** Misspelt options would else draw another picture than was meant without a word. */
    private static void putIgnored(ObjectNode ours, List<String> ignored) {
        if (!ignored.isEmpty()) {
            ArrayNode names = ours.putArray("ignored_fields");
            ignored.forEach(names::add);
        }
    }

    private static String address(Exchange exchange, Job job) {
        String scheme = exchange.request().isSecure() ? "https" : "http";
        return scheme + "://" + exchange.header("Host") + JobsApi.picturePath(job);
    }

    private static void describe(ObjectNode answer, Job job, Job.Result result) {
        answer.put("background", "opaque")
                .put("output_format", job.output().format().word())
                .put("size", result.image().width() + "x" + result.image().height());
    }

    private static void stream(Exchange exchange, List<Job> jobs, String kind, List<String> ignored)
            throws Exception {
        EventStream events = exchange.stream();
        for (Job job : jobs) {
            Progress progress = stream(events, job, kind);
            if (progress.status() != Progress.Status.COMPLETED) {
                events.send("error", Router.error(Job.failure(progress)));
                break;
            }
            Job.Result result = job.join();
            ObjectNode event = event(kind + ".completed", result.file(), job);
            describe(event, job, result);
            ObjectNode usage = event.putObject("usage");
            usage.put("total_tokens", 0).put("input_tokens", 0).put("output_tokens", 0);
            usage.putObject("input_tokens_details").put("text_tokens", 0).put("image_tokens", 0);
            putSeed(event, job);
            ObjectNode ours = event.putObject("asg4j");
            ours.set(
                    "report",
                    Json.MAPPER.<JsonNode>valueToTree(ReportJson.map(result.image().report())));
            putIgnored(ours, ignored);
            events.send(kind + ".completed", event);
        }
        events.end();
    }

    private static Progress stream(EventStream events, Job job, String kind) throws Exception {
        int seen = 0;
        int sent = 0;
        Progress progress = job.progress();
        while (!progress.status().isEnd()) {
            Picture preview = progress.preview();
            if (preview != null && progress.previews() > seen && sent < job.previews()) {
                ObjectNode event = event(kind + ".partial_image", preview.as(job.output()), job);
                event.put("partial_image_index", sent++)
                        .put("background", "opaque")
                        .put("output_format", job.output().format().word())
                        .put("size", preview.width() + "x" + preview.height());
                events.send(kind + ".partial_image", event);
            }
            seen = progress.previews();
            progress = job.next(events, progress);
        }
        return progress;
    }

    private static ObjectNode event(String type, byte[] file, Job job) {
        return Json.object()
                .put("type", type)
                .put("b64_json", file)
                .put("created_at", job.created().getEpochSecond())
                .put("quality", "auto"); // of the events every client's types ask for
    }
}
