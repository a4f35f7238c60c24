// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The README.md of a model's folder, whose first lines say the licence of the weights. */
public final class ModelCard {
    private static final int MOST_BYTES = 1 << 20;
    private static final Pattern HEAD =
            Pattern.compile("\\A---\\R(.*?)^---\\s*$", Pattern.DOTALL | Pattern.MULTILINE);
    private static final Pattern NAME = entry("license_name");
    private static final Pattern LICENCE = entry("license");

    private ModelCard() {}

    private static Pattern entry(String key) {
        return Pattern.compile("^" + key + ":[ \t]*[\"']?([^\"'\r\n#]+)", Pattern.MULTILINE);
    }

    /** The licence that a folder says, as in "creativeml-openrail-m"; empty: it says none. */
    public static String licence(Path folder) {
        Path file = folder.resolve("README.md");
        try {
            if (!Files.isRegularFile(file) || Files.size(file) > MOST_BYTES) {
                return "";
            }
            Matcher head =
                    HEAD.matcher(new String(Files.readAllBytes(file), StandardCharsets.UTF_8));
            if (!head.find()) {
                return "";
            }
            // A licence of the publisher's own is "other", and has a name.
            Matcher name = NAME.matcher(head.group(1));
            Matcher licence = LICENCE.matcher(head.group(1));
            return name.find()
                    ? name.group(1).strip()
                    : licence.find() ? licence.group(1).strip() : "";
        } catch (IOException e) {
            return "";
        }
    }
}
