// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.ReportJson;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

import java.util.Map;
import java.util.concurrent.Callable;

/** Says what generate would do, with the same options, and does none of it. */
@Command(
        name = "plan",
        versionProvider = Cli.Version.class,
        description = "Prints what generate would do, with the same options; draws nothing.",
        synopsisHeading = "Usage: ",
        customSynopsis = "asg plan [OPTIONS]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  asg plan --size 384x256",
            "  asg plan --prompt \"a red ball on grass\" --size 512x512 --devices cpu:4 --json"
        })
final class PlanCommand implements Callable<Integer> {
    /** A plan depends on the prompt only through errors about it. */
    private static final String ANY_PROMPT = "a picture";

    private final Cli cli;

    @Spec
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private EngineArgs engineArgs = new EngineArgs();

    @Mixin private LikeArgs likeArgs = new LikeArgs();

    @Mixin GenerateCommand.OutputArgs outputArgs = new GenerateCommand.OutputArgs();

    @Mixin private CommonArgs commonArgs = new CommonArgs();

    PlanCommand(Cli cli) {
        this.cli = cli;
    }

    @Override
    public Integer call() {
        Cli.logWarningsOnly(); // the plan itself is what is asked for
        RequestArgs requestArgs = new RequestArgs(command);
        String prompt = requestArgs.text("prompt");
        Likeness like = likeArgs.likeness();
        GenerationRequest request =
                requestArgs.request(
                        prompt == null ? ANY_PROMPT : prompt,
                        cli.engines().methods(),
                        () -> 0,
                        like);
        if (like != null) {
            like.warnings().forEach(warning -> cli.err().println("asg: warning: " + warning));
        }
        try (EngineFactory.Handle engine = cli.engines().open(engineArgs.options(like))) {
            Map<String, Object> plan = ReportJson.map(engine.plan(request));
            cli.out().println(commonArgs.json ? Json.write(plan) : AlignedText.of(plan));
        }
        return ExitCode.DONE;
    }
}
