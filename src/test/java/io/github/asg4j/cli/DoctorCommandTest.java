// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.EngineOptions;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.List;
import java.util.Map;

/** Doctor and plan: readable text, the same as JSON, and an exit code that scripts can use. */
class DoctorCommandTest {
    private final FakeEngines engines = new FakeEngines();

    @Test
    void aHealthyMachineWillDraw() {
        FakeEngines.Result result = engines.run("doctor");
        assertEquals(0, result.code(), result.out());
        assertEquals("", result.err());
        for (String name :
                List.of("java", "platform", "cores", "memory", "native cache", "png", "gpu")) {
            assertTrue(
                    result.out().lines().anyMatch(l -> l.matches("(OK  |WARN)  " + name + " .*")),
                    name + " not in " + result.out());
        }
        assertTrue(result.out().contains("OK    kernels       java\n"), result.out());
        assertTrue(result.out().endsWith("Drawing will work.\n"), result.out());
        assertEquals(0, engines.open, "engine closed");
    }

    @Test
    void verifyAndTheOtherOptionsReachTheEngine() {
        engines.run("doctor", "--verify", "--devices", "cpu:2");
        engines.run("doctor");
        assertEquals(
                List.of(
                        EngineOptions.DEFAULT.withDevices("cpu:2").withVerify(true),
                        EngineOptions.DEFAULT),
                engines.options);
    }

    @Test
    void badBundleIsAFailLineAndItsExitCode() throws IOException {
        engines.openFailure = new BadBundleException("vae.onnx has the wrong SHA-256");
        FakeEngines.Result result = engines.run("doctor");
        assertEquals(3, result.code());
        assertTrue(
                result.out().contains("FAIL  engine        vae.onnx has the wrong SHA-256"),
                result.out());
        JsonNode json = new ObjectMapper().readTree(engines.run("doctor", "--json").out());
        assertEquals(false, json.get("ok").asBoolean());
        assertEquals(3, json.get("exit_code").asInt());
    }

    @Test
    void entryOfTheEngineMayCarryItsVerdict() {
        engines.description.put("self_test", Map.of("status", "WARN"));
        assertTrue(engines.run("doctor").out().contains("WARN  self test"));
        engines.description.put("self_test", Map.of("status", "FAIL"));
        assertEquals(4, engines.run("doctor").code());
    }

    @Test
    void jsonHasTheChecksAndTheEngine() throws IOException {
        FakeEngines.Result result = engines.run("doctor", "--json");
        JsonNode json = new ObjectMapper().readTree(result.out());
        assertEquals(true, json.get("ok").asBoolean());
        assertEquals("asg4j", json.get("checks").get(0).get("name").asText());
        assertEquals("OK", json.get("checks").get(0).get("status").asText());
        assertEquals("java", json.get("engine").get("kernels").asText());
        assertEquals(1, result.out().lines().count());
    }

    @Test
    void warnsOfJavaThatMovesPinnedObjects() {
        for (String version : List.of("25", "25.0.2+10-LTS")) {
            Machine.Finding finding = Machine.java(Runtime.Version.parse(version));
            assertEquals(Machine.Status.WARN, finding.status(), version);
            assertTrue(finding.detail().contains("JDK-8377811"), finding.detail());
        }
        for (String version : List.of("25.0.3+9-LTS", "25.0.4", "26.0.1")) {
            assertEquals(Machine.Status.OK, Machine.java(Runtime.Version.parse(version)).status());
        }
    }

    @Test
    void planIsPrintedAsAlignedText() throws IOException {
        FakeEngines.Result text = engines.run("plan", "--size", "32x16");
        assertEquals(0, text.code(), text.err());
        assertEquals(
                """
                method          asg
                canvas latents  32, 32
                stages:
                  - name   stage1
                    views  4
                  - name  stage2
                bytes:
                  host  5
                """,
                text.out());
        assertEquals(
                "{\"method\":\"asg\",\"canvas_latents\":[32,32],\"stages\":[{\"name\":\"stage1\",\"views\":4},{\"name\":\"stage2\"}],\"bytes\":{\"host\":5}}\n",
                engines.run("plan", "--prompt", "a ball", "--json", "--out", "/no/a.png").out());
    }
}
