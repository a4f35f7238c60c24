// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;

/** Prints the settings that a picture carries. */
@Command(
        name = "show",
        versionProvider = Cli.Version.class,
        description =
                "Prints the settings that a picture carries: of this engine, AUTOMATIC1111,"
                        + " ComfyUI, Fooocus, InvokeAI or NovelAI.",
        synopsisHeading = "Usage: ",
        customSynopsis = "asg show FILE [OPTIONS]",
        descriptionHeading = "%n",
        footerHeading = "%nExamples:%n",
        footer = "  asg show a-red-ball-7.png --json")
final class ShowCommand implements Callable<Integer> {
    private final Cli cli;

    @Parameters(index = "0", paramLabel = "FILE", description = "a PNG, JPEG or WebP file")
    @SuppressWarnings("NullAway.Init") // set by picocli
    private Path file;

    @Mixin private CommonArgs commonArgs = new CommonArgs();

    ShowCommand(Cli cli) {
        this.cli = cli;
    }

    @Override
    public Integer call() {
        FoundSettings found = FoundSettings.of(file);
        Map<String, Object> shown = new LinkedHashMap<>();
        shown.put("Tool", found.tool());
        shown.putAll(found.settings());
        cli.out().println(commonArgs.json ? Json.write(shown) : AlignedText.of(shown));
        return ExitCode.DONE;
    }
}
