// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.CancelledException;
import io.github.asg4j.GenerationRequest;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** What compare draws and prints, and which files it leaves. */
class CompareCommandTest {
    @TempDir Path folder;

    private final FakeEngines engines = new FakeEngines();

    private FakeEngines.Result compare(String... more) {
        String[] args = {
            "compare", "--prompt", "a red ball", "--seed", "7", "--out", file().toString()
        };
        return engines.run(Stream.concat(Stream.of(args), Stream.of(more)).toArray(String[]::new));
    }

    private Path file() {
        return folder.resolve("a.html");
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }

    @Test
    void writesThePage() throws IOException {
        FakeEngines.Result result = compare("--figures", "none", "--size", "24x16");
        assertEquals(0, result.code(), result.err());
        assertTrue(
                result.out()
                        .matches(".*a\\.html: 3 pictures, seed 7, \\d+\\.\\d MB, \\d+\\.\\d s\\R"),
                result.out());
        assertTrue(
                result.err()
                        .matches(
                                "\\[1/3\\] native size: \\d\\.\\d s\\R\\[2/3\\] asg: \\d\\.\\d s\\R"
                                        + "\\[3/3\\] direct: \\d\\.\\d s\\R"),
                result.err());
        assertTrue(Files.readString(file()).contains("24 × 16, seed 7"));
        assertEquals(List.of(file()), files());
        assertEquals(0, engines.open, "engine closed");
    }

    @Test
    void jsonIsOneObjectAndNothingElse() throws IOException {
        FakeEngines.Result result = compare("--methods", "direct", "--json");
        JsonNode json = new ObjectMapper().readTree(result.out());
        assertEquals(file().toString(), json.get("file").asText());
        assertEquals(Files.size(file()), json.get("bytes").asLong());
        assertEquals(2, json.get("pictures").size());
        assertEquals("direct", json.get("pictures").get(1).get("method").asText());
        assertEquals(1, result.out().lines().count());
    }

    @ParameterizedTest
    @CsvSource({"all,none,3", "direct,all,2", "'ASG, direct,asg',none,3", "asg,all,19"})
    void listsChooseWhatIsDrawn(String methods, String figures, int pictures) {
        FakeEngines.Result result = compare("--methods", methods, "--figures", figures);
        assertEquals(0, result.code(), result.err());
        assertEquals(pictures, engines.requests.stream().distinct().count());
    }

    @Test
    void optionsOfThePictureReachAll() {
        compare("--steps", "9", "--guidance-scale", "3", "--paper-defaults", "--figures", "none");
        assertTrue(engines.requests.size() >= 3);
        for (GenerationRequest request : engines.requests) {
            assertEquals(9, request.steps().getAsInt());
            assertEquals(3, request.guidanceScale().getAsDouble());
            assertEquals(7, request.seed());
            assertTrue(request.paperDefaults());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "--methods,best,\"'best' is not one of all, asg, direct\"",
        "--methods,'asg,',\"'' is not one of all, asg, direct\"",
        "--figures,graph,\"'graph' is not one of all, none, attention, ablation, sweep\"",
        "--method,asg,Unknown options: '--method'"
    })
    void wrongValuesSayWhatIsAllowed(String option, String value, String message) {
        FakeEngines.Result result = compare(option, value);
        assertEquals(2, result.code());
        assertTrue(result.err().contains(message.replace("\"", "")), result.err());
        assertEquals(List.of(), engines.options);
    }

    @Test
    void promptIsRequired() {
        FakeEngines.Result result = engines.run("compare");
        assertEquals(2, result.code());
        assertTrue(result.err().contains("Missing required option: '--prompt TEXT'"));
    }

    @Test
    void outputIsCheckedBeforeTheEngineOpens() throws IOException {
        Files.createDirectory(file());
        FakeEngines.Result result = compare();
        assertEquals(5, result.code());
        assertEquals(List.of(), engines.options);
    }

    @Test
    void cancelledRunLeavesNoFile() throws IOException {
        engines.failure = new CancelledException("cancelled in step 3 of 50");
        FakeEngines.Result result = compare();
        assertEquals(130, result.code());
        assertEquals("asg: cancelled in step 3 of 50\n", result.err());
        assertEquals(List.of(), files());
        assertEquals(0, engines.open);
    }
}
