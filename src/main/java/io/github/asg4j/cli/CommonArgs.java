// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import picocli.CommandLine.Option;

/** Options of the commands that do one thing and report it. */
final class CommonArgs extends HelpArgs {
    @Option(
            names = "--json",
            order = HelpSections.OUTPUT + 90,
            description = "print one JSON object on standard output and nothing else there")
    boolean json;
}
