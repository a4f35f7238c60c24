// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import picocli.CommandLine.Option;

/** Options that every command has. */
class HelpArgs {
    @Option(
            names = {"-v", "--verbose"},
            order = HelpSections.OUTPUT + 92,
            description = "print the stack trace of an error")
    boolean verbose;

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            order = HelpSections.OUTPUT + 93,
            description = "print this help and leave")
    boolean help;

    @Option(
            names = {"-V", "--version"},
            versionHelp = true,
            order = HelpSections.OUTPUT + 94,
            description = "print the version and leave")
    boolean version;
}
