// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import com.fasterxml.jackson.core.JsonEncoding;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;

import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.TraceReport;
import io.github.asg4j.image.OutputFile;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Listens to where the time of a picture goes, passes all else on, and writes it as Chrome's trace
 * events, which chrome://tracing and Perfetto show: a row for the picture's stages and one for every
 * device with its calls.
 */
final class TraceFile implements GenerationListener {
    private static final double NANOS_PER_MICRO = 1e3;
    private static final double NANOS_PER_MILLI = 1e6;
    private static final int PICTURE_ROW = 0;

    private final Path file;
    private final GenerationListener next;
    private final List<Span> stages = new ArrayList<>();
    private TraceReport report = new TraceReport(List.of());

    /** A stage of the picture, nanoseconds. */
    private record Span(String name, long begin, long end) {}

    /**
     * @param next is told all that this listener is
     */
    TraceFile(Path file, GenerationListener next) {
        this.file = file;
        this.next = next;
    }

    @Override
    public synchronized void onEvent(GenerationEvent event) {
        int last = stages.size() - 1;
        long now = event.elapsedNanos();
        if (last >= 0 && stages.get(last).name().equals(event.stage())) {
            stages.set(last, new Span(event.stage(), stages.get(last).begin(), now));
        } else {
            // the first event of a stage of steps comes when its first step is done
            long begin = last >= 0 ? stages.get(last).end() : now;
            stages.add(new Span(event.stage(), begin, now));
        }
        next.onEvent(event);
    }

    @Override
    public boolean wantsTrace() {
        return true;
    }

    @Override
    public synchronized void onTrace(TraceReport trace) {
        report = trace;
    }

    /**
     * What each device did, one line a device.
     */
    synchronized List<String> summary() {
        List<String> lines = new ArrayList<>();
        report.uses()
                .forEach(
                        (device, use) ->
                                lines.add(
                                        String.format(
                                                Locale.ROOT,
                                                "%s: %d network runs of %.2f ms (median), %.1f %%"
                                                    + " of its time; kernels and exchange %.2f %%,"
                                                    + " idle %.2f %%",
                                                device,
                                                use.runs(),
                                                use.median() / NANOS_PER_MILLI,
                                                percent(use.network(), use),
                                                percent(use.between(), use),
                                                percent(use.idle(), use))));
        return lines;
    }

    private static double percent(long part, TraceReport.Use use) {
        return 100.0 * part / Math.max(1, use.total());
    }

    /**
     * Writes the file, complete or not at all.
     *
     * @throws io.github.asg4j.OutputException if it cannot be written
     */
    synchronized void write() {
        OutputFile.write(file, this::writeTo);
    }

    private void writeTo(OutputStream out) throws IOException {
        try (JsonGenerator json = new JsonFactory().createGenerator(out, JsonEncoding.UTF8)) {
            json.disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET);
            json.writeStartObject();
            json.writeStringField("displayTimeUnit", "ms");
            json.writeArrayFieldStart("traceEvents");
            row(json, PICTURE_ROW, "picture");
            for (Span stage : stages) {
                span(json, PICTURE_ROW, stage.name(), stage.begin(), stage.end());
                json.writeEndObject();
            }
            Map<String, Integer> rows = new LinkedHashMap<>();
            for (TraceReport.Call call : report.calls()) {
                Integer row = rows.get(call.device());
                if (row == null) {
                    row = PICTURE_ROW + 1 + rows.size();
                    rows.put(call.device(), row);
                    row(json, row, call.device());
                }
                write(json, row, call);
            }
            json.writeEndArray();
            json.writeEndObject();
        }
    }

    private static void write(JsonGenerator json, int row, TraceReport.Call call)
            throws IOException {
        String name = call.stage() + " " + (call.step() + 1);
        span(json, row, name, call.begin(), call.end());
        json.writeObjectFieldStart("args");
        json.writeNumberField("unit", call.unit());
        json.writeNumberField("step", call.step() + 1);
        json.writeEndObject();
        json.writeEndObject();
        if (call.network() > 0) {
            span(json, row, "network", call.networkBegin(), call.networkEnd());
            json.writeEndObject();
        }
    }

    /** Names a row; rows stand in the order of their numbers. */
    private static void row(JsonGenerator json, int row, String name) throws IOException {
        for (String what : List.of("thread_name", "thread_sort_index")) {
            json.writeStartObject();
            json.writeStringField("ph", "M");
            json.writeStringField("name", what);
            json.writeNumberField("pid", 1);
            json.writeNumberField("tid", row);
            json.writeObjectFieldStart("args");
            if (what.equals("thread_name")) {
                json.writeStringField("name", name);
            } else {
                json.writeNumberField("sort_index", row);
            }
            json.writeEndObject();
            json.writeEndObject();
        }
    }

    /** Begins an event; the caller ends it. */
    private static void span(JsonGenerator json, int row, String name, long begin, long end)
            throws IOException {
        json.writeStartObject();
        json.writeStringField("ph", "X");
        json.writeStringField("name", name);
        json.writeNumberField("pid", 1);
        json.writeNumberField("tid", row);
        json.writeNumberField("ts", begin / NANOS_PER_MICRO);
        json.writeNumberField("dur", (end - begin) / NANOS_PER_MICRO);
    }
}
