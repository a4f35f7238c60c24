// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.ReportJson;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.List;

/** Doctor and plan: readable text, the same as JSON, and an exit code that scripts can use. */
class DoctorCommandTest {
    private final FakeEngines engines = new FakeEngines();

    @Test
    void aHealthyMachineWillDraw() {
        FakeEngines.Result result = engines.run("doctor");
        assertEquals(0, result.code(), result.out());
        assertEquals("", result.err());
        for (String name :
                List.of(
                        "java",
                        "platform",
                        "cores",
                        "memory",
                        "native cache",
                        "png",
                        "webp",
                        "gpu")) {
            assertTrue(
                    result.out().lines().anyMatch(l -> l.matches("(OK  |WARN)  " + name + " .*")),
                    name + " not in " + result.out());
        }
        assertTrue(result.out().contains("OK    kernels             java\n"), result.out());
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
    void kernelsThatDifferAreAFailLineAndExitCode4() {
        engines.description = Reports.tested(engines.description, "");
        FakeEngines.Result same = engines.run("doctor");
        assertEquals(0, same.code());
        assertTrue(
                same.out().lines().anyMatch(l -> l.matches("OK +kernels self test +same bits .*")),
                same.out());
        engines.description = Reports.tested(engines.description, "blend");
        FakeEngines.Result other = engines.run("doctor");
        assertEquals(4, other.code());
        assertTrue(
                other.out()
                        .lines()
                        .anyMatch(l -> l.matches("FAIL +kernels self test +blend differs .*")),
                other.out());
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
                method              asg
                width               32
                height              16
                patches             2, 2
                patch latents       2, 1
                canvas latents      4, 2
                canvas pixels       32, 16
                steps               50
                view batch          1
                precision           fp32
                provider            ONNX Runtime 1.0
                weights             packed
                stages:
                  - name            stage1
                    steps           25
                    views           4
                    view latents    2, 1
                    calls           4
                    guidance scale  5.0
                    rows per view   2
                    barriers        1
                    interaction     every
                    stage1 steps    25
                  - name            stage2
                    steps           25
                    views           1
                    view latents    4, 2
                    calls           1
                    guidance scale  5.0
                    rows per view   2
                    barriers        0
                    canvas latents  4, 2
                    grid            1, 1
                vae:
                  decoded      whole
                  tile pixels  0
                  at once      1
                barriers            8
                guided evaluations  10
                native evaluations  15.0
                unet runs           9
                unet rows           20
                tflop:
                  denoiser     1234.6
                  vae          4.5
                  vae on gpus  5.5
                bytes:
                  weights    0
                  latents    0
                  workers    0
                  workspace  0
                  vae        0
                  picture    5
                  total      5
                """,
                text.out());
        assertEquals(
                Json.write(ReportJson.map(Reports.plan("asg", new Size(32, 16), 50, 5))) + "\n",
                engines.run("plan", "--size", "32x16", "--json", "--out", "/no/a.png").out());
    }
}
