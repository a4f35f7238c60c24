// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

import java.nio.file.Path;

/** What a request may be taken from beside its own options. */
final class LikeArgs {
    @Option(
            names = "--like",
            paramLabel = "FILE",
            order = HelpSections.PICTURE,
            description =
                    "draw what the settings in a PNG, JPEG or WebP file say, of this engine or of"
                            + " another program; options that are given as well take precedence,"
                            + " and what cannot be followed is said")
    @Nullable Path like;

    /** What the file says; null: none is given. */
    @Nullable Likeness likeness() {
        return like == null ? null : Likeness.of(like);
    }
}
