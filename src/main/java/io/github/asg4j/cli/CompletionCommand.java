// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

import java.util.concurrent.Callable;

/** Prints what makes a shell complete the commands, options and values of this program. */
@Command(
        name = "completion",
        versionProvider = Cli.Version.class,
        description = "Prints a script with which bash and zsh complete what is typed after asg.",
        synopsisHeading = "Usage: ",
        customSynopsis = "asg completion",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  source <(asg completion)",
            "  asg completion > ~/.local/share/bash-completion/completions/asg"
        })
final class CompletionCommand implements Callable<Integer> {
    private final Cli cli;

    @Spec
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin HelpArgs helpArgs = new HelpArgs();

    CompletionCommand(Cli cli) {
        this.cli = cli;
    }

    @Override
    public Integer call() {
        cli.out().print(AutoComplete.bash("asg", command.root().commandLine()));
        return ExitCode.DONE;
    }
}
