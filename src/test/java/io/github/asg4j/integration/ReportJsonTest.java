// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.ReportJson;
import io.github.asg4j.RequestJson;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.run.worker.Gpus;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;

/**
 * The JSON of plans, pictures and engines, key by key and in order, and the text in PNG files, against
 * src/test/resources/reports/reports.txt. Times, bytes in use, hashes and versions are only compared
 * by their form.
 */
class ReportJsonTest {
    private static final JsonMapper JSON =
            JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

    private static final String PROVIDER = "(\"provider\":\"ONNX Runtime) [0-9.]+";

    /** An engine, one of its requests, and what it has to answer. */
    record Case(String bundle, String devices, String request, List<String> answers) {
        @Override
        public String toString() {
            return bundle + " " + devices + " " + request;
        }
    }

    static List<Case> cases() throws IOException {
        List<Case> cases = new ArrayList<>();
        for (String line : Files.readAllLines(Tiny.resource("reports").resolve("reports.txt"))) {
            if (line.startsWith("request ")) {
                String[] words = line.split(" ", 4);
                cases.add(new Case(words[1], words[2], words[3], new ArrayList<>()));
            } else if (!line.isEmpty() && !line.startsWith("#")) {
                cases.getLast().answers().add(line);
            }
        }
        return cases;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void reportsAreWrittenAsTheyAlwaysWere(Case of) throws IOException {
        assertEquals(String.join("\n", of.answers()), String.join("\n", answers(of)));
    }

    static List<String> answers(Case of) throws IOException {
        GenerationRequest request = RequestJson.read(of.request());
        EngineOptions options =
                EngineOptions.DEFAULT
                        .withModel(Tiny.resource(of.bundle()))
                        .withDevices(of.devices())
                        .withKernels("java")
                        .withMaxMemoryBytes(8L << 30);
        Gpus gpus = of.devices().startsWith("cuda") ? new EmulatedGpus() : Gpus.ofMachine();
        List<String> answers = new ArrayList<>();
        try (Engine engine = TestEngines.open(options, WorkerHook.NONE, gpus)) {
            answers.add("engine " + engine(engine));
            answers.add("plan " + plan(engine, request));
            GeneratedImage image = engine.submit(request).join();
            answers.add("picture " + picture(image));
            for (String line : text(image).split("\n")) {
                answers.add("png " + line);
            }
        }
        return answers;
    }

    private static String engine(Engine engine) throws JsonProcessingException {
        return JSON.writeValueAsString(ReportJson.map(engine.describe()))
                .replaceAll("\"kernels_usable\":\\[[a-z0-9\",]+\\]", "\"kernels_usable\":[...]")
                .replaceAll("\"[0-9a-f]{64}\"", "\"HASH\"")
                .replaceAll("(\"onnxruntime\"):\"[^\"]+\"", "$1:\"VERSION\"")
                .replaceAll(PROVIDER, "$1 VERSION");
    }

    private static String plan(Engine engine, GenerationRequest request)
            throws JsonProcessingException {
        return JSON.writeValueAsString(ReportJson.map(engine.plan(request)))
                .replaceAll(PROVIDER, "$1 VERSION");
    }

    private static String picture(GeneratedImage image) throws JsonProcessingException {
        String json = JSON.writeValueAsString(ReportJson.map(image.report()));
        int measured = json.indexOf("\"pixels_sha256\"");
        return json.substring(0, measured)
                        .replaceAll("(\"version\"):\"[^\"]+\"", "$1:\"VERSION\"")
                        .replaceAll(PROVIDER, "$1 VERSION")
                        .replaceAll("\"[0-9a-f]{64}\"", "\"HASH\"")
                + json.substring(measured)
                        .replaceAll("\"[0-9a-f]{64}\"", "\"HASH\"")
                        .replaceAll(":-?[0-9]+\\.[0-9]+", ":TIME")
                        .replaceAll("\":-?[0-9]+", "\":BYTES");
    }

    private static String text(GeneratedImage image) {
        return PngParameters.text(image.report())
                .replaceAll("Version: [^,]+", "Version: VERSION")
                .replaceAll("Model hash: [0-9a-f]+", "Model hash: HASH");
    }
}
