// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.AsgException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.ReportJson;
import io.github.asg4j.cli.Machine.Finding;
import io.github.asg4j.cli.Machine.Status;

import org.jspecify.annotations.Nullable;

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
        EngineCheck engine = checkEngine();
        findings.addAll(engine.findings());
        int code = engine.code();
        if (code == ExitCode.DONE
                && findings.stream().anyMatch(finding -> finding.status() == Status.FAIL)) {
            code = ExitCode.DEVICE;
        }
        if (commonArgs.json) {
            cli.out().println(Json.write(asMap(findings, engine.info(), code)));
        } else {
            print(findings, code);
        }
        return code;
    }

    /**
     * What came of opening the engine.
     *
     * @param info null: it does not open
     */
    private record EngineCheck(int code, List<Finding> findings, @Nullable EngineInfo info) {}

    /** Opens the engine, which loads ONNX Runtime, kernels and bundle, as generate would. */
    private EngineCheck checkEngine() {
        long start = System.nanoTime();
        EngineInfo info;
        try (EngineFactory.Handle engine =
                cli.engines().open(engineArgs.options().withVerify(verify))) {
            info = engine.describe();
        } catch (AsgException e) {
            Finding failure = new Finding(Status.FAIL, "engine", String.valueOf(e.getMessage()));
            return new EngineCheck(ExitCode.of(e), List.of(failure), null);
        }
        List<Finding> findings = new ArrayList<>(findings(info));
        long milliseconds = (System.nanoTime() - start) / 1_000_000;
        findings.add(new Finding(Status.OK, "engine", "opens and closes, " + milliseconds + " ms"));
        return new EngineCheck(ExitCode.DONE, findings, info);
    }

    /** A line for each entry; a self-test's has its outcome as its status. */
    private static List<Finding> findings(EngineInfo info) {
        Map<String, Finding> findings = new LinkedHashMap<>();
        ReportJson.map(info)
                .forEach(
                        (key, value) ->
                                findings.put(
                                        key,
                                        new Finding(
                                                Status.OK,
                                                key.replace('_', ' '),
                                                AlignedText.inline(value))));
        for (EngineInfo.SelfTest test : info.selfTests()) {
            String key = ReportJson.key(test);
            findings.put(
                    key,
                    new Finding(
                            test.passed() ? Status.OK : Status.FAIL,
                            key.replace('_', ' '),
                            test.result()));
        }
        return List.copyOf(findings.values());
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
            List<Finding> findings, @Nullable EngineInfo info, int code) {
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
        map.put("engine", info == null ? Map.of() : ReportJson.map(info));
        return map;
    }
}
