// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.PictureReport;
import io.github.asg4j.ReportJson;

import java.nio.file.Path;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * {@code log.jsonl}: when, where and how fast pictures were drawn, a line for each run and one for each
 * picture. All that differs from run to run is here, so that it is not in the records.
 */
final class RunLog implements AutoCloseable {
    static final String FILE = "log.jsonl";

    private final JsonLines lines;

    private RunLog(JsonLines lines) {
        this.lines = lines;
    }

    /** Opens the log of a folder; a new run begins. */
    static RunLog open(Path folder, EngineInfo engine) {
        JsonLines lines = JsonLines.open(folder.resolve(FILE));
        lines.read((line, start) -> {});
        Map<String, Object> run = new LinkedHashMap<>();
        run.put("run", Instant.now().toString());
        run.put("devices", engine.devices());
        run.put("kernels", engine.kernels());
        run.put("threads_per_worker", engine.threadsPerWorker());
        run.put("precision", engine.precision());
        run.put("provider", engine.provider());
        run.put("onnxruntime", engine.onnxRuntime());
        run.put("version", Engine.version());
        run.put("java", Runtime.version().toString());
        lines.append(run);
        return new RunLog(lines);
    }

    /** A picture was stored. */
    void drew(Map<String, Object> record, PictureReport report) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("picture", record.get("picture"));
        line.put("at", Instant.now().toString());
        line.put("devices", report.devices().names());
        if (!report.devices().lost().isEmpty()) {
            line.put("lost", report.devices().lost());
        }
        line.put("times_ms", ReportJson.map(report.times()));
        lines.append(line);
    }

    @Override
    public void close() {
        lines.close();
    }
}
