// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.MethodOptions;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** docs/command-line.md lists the options of the table: a test that fails prints the list as it has to be. */
class OptionDocumentTest {
    private static final String HEAD =
            """
            | option | what it is (range; default) | methods |
            |---|---|---|
            """;

    @Test
    void theDocumentHasTheTableOfOptions() throws IOException {
        StringBuilder table = new StringBuilder(HEAD);
        for (RequestOption<?> option : RequestOptions.ALL) {
            table.append(row(option)).append('\n');
        }
        String document = Files.readString(Path.of("docs/command-line.md"));
        int start = document.indexOf(HEAD);
        int end = document.indexOf("\n\n", start);
        assertEquals(table.toString(), start < 0 ? document : document.substring(start, end + 1));
    }

    private static String row(RequestOption<?> option) {
        String label = option.type().label();
        boolean all = option.methods().size() == MethodOptions.DEFAULTS.size();
        return "| `--"
                + option.name()
                + (label.isEmpty() ? "" : " " + label.replace("|", "\\|"))
                + "` | "
                + RequestArgs.description(option)
                + " | "
                + (all ? "all" : String.join(", ", option.methods()))
                + " |";
    }
}
