// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.AsgException;
import io.github.asg4j.Engine;
import io.github.asg4j.cli.Machine.Finding;
import io.github.asg4j.cli.Machine.Status;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** Says whether drawing will work on this machine, and if not, why and what to do. */
@Command(
        name = "doctor",
        versionProvider = Cli.Version.class,
        description = "Checks whether drawing will work on this machine.",
        synopsisHeading = "Usage: ",
        customSynopsis = "asg doctor [OPTIONS]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg doctor",
            "  asg doctor --model ./my-bundle --verify --json",
            "",
            "Exit code 0: drawing will work (with OK and WARN lines only)."
        })
final class DoctorCommand implements Callable<Integer> {
    private final Cli cli;

    @Mixin private EngineArgs engineArgs = new EngineArgs();
    @Mixin private CommonArgs commonArgs = new CommonArgs();

    @Option(
            names = "--verify",
            order = HelpSections.MACHINE + 90,
            description = "compare the SHA-256 of all files of the bundle, even if done before")
    private boolean verify;

    DoctorCommand(Cli cli) {
        this.cli = cli;
    }

    @Override
    public Integer call() {
        Cli.logWarningsOnly(); // what the engine chose is in the report
        List<Finding> findings = new ArrayList<>();
        findings.add(new Finding(Status.OK, "asg4j", Engine.version()));
        findings.addAll(Machine.findings());
        Map<String, Object> described = new LinkedHashMap<>();
        int code = checkEngine(findings, described);
        if (code == ExitCode.DONE
                && findings.stream().anyMatch(finding -> finding.status() == Status.FAIL)) {
            code = ExitCode.DEVICE;
        }
        if (commonArgs.json) {
            cli.out().println(Json.write(asMap(findings, described, code)));
        } else {
            print(findings, code);
        }
        return code;
    }

    /** Opens the engine, which loads ONNX Runtime, kernels and bundle, as generate would. */
    private int checkEngine(List<Finding> findings, Map<String, Object> described) {
        long start = System.nanoTime();
        try (EngineFactory.Handle engine =
                cli.engines().open(engineArgs.options().withVerify(verify))) {
            described.putAll(engine.describe());
        } catch (AsgException e) {
            findings.add(new Finding(Status.FAIL, "engine", String.valueOf(e.getMessage())));
            return ExitCode.of(e);
        }
        described.forEach((name, value) -> findings.add(finding(name, value)));
        long milliseconds = (System.nanoTime() - start) / 1_000_000;
        findings.add(new Finding(Status.OK, "engine", "opens and closes, " + milliseconds + " ms"));
        return ExitCode.DONE;
    }

    /** An entry of the description may carry its own verdict as "status". */
    private static Finding finding(String name, Object value) {
        Status status = Status.OK;
        if (value instanceof Map<?, ?> map && map.get("status") instanceof String word) {
            status = Status.valueOf(word);
            Map<Object, Object> rest = new LinkedHashMap<>(map);
            rest.remove("status");
            value = rest;
        }
        return new Finding(status, name.replace('_', ' '), AlignedText.inline(value));
    }

    private void print(List<Finding> findings, int code) {
        int width = findings.stream().mapToInt(f -> f.name().length()).max().orElse(0);
        for (Finding finding : findings) {
            cli.out()
                    .println(
                            String.format(
                                    "%-4s  %-" + width + "s  %s",
                                    finding.status(),
                                    finding.name(),
                                    finding.detail()));
        }
        cli.out().println();
        cli.out()
                .println(
                        code == ExitCode.DONE
                                ? "Drawing will work."
                                : "Drawing will not work: see the lines with FAIL.");
    }

    private static Map<String, Object> asMap(
            List<Finding> findings, Map<String, Object> described, int code) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("ok", code == ExitCode.DONE);
        map.put("exit_code", code);
        List<Object> checks = new ArrayList<>();
        for (Finding finding : findings) {
            Map<String, Object> check = new LinkedHashMap<>();
            check.put("status", finding.status().name());
            check.put("name", finding.name());
            check.put("detail", finding.detail());
            checks.add(check);
        }
        map.put("checks", checks);
        map.put("engine", described);
        return map;
    }
}
