// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The script in a real bash. */
class CompletionCommandTest {
    @TempDir private Path folder;

    /** What bash offers behind these words, of which the last one is being typed. */
    private List<String> offered(String... words) throws IOException, InterruptedException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        PrintStream stream = new PrintStream(out, true, StandardCharsets.UTF_8);
        Cli cli = new Cli(EngineFactory.real(), stream, System.err, false, () -> 1);
        assertEquals(ExitCode.DONE, cli.run("completion"));
        Path script = folder.resolve("asg.bash");
        Files.write(script, out.toByteArray());
        String typed = "'" + String.join("' '", words) + "'";
        Process bash =
                new ProcessBuilder(
                                "bash",
                                "--norc",
                                "-c",
                                "source "
                                        + script
                                        + "; COMP_WORDS=(asg "
                                        + typed
                                        + "); COMP_CWORD="
                                        + words.length
                                        + "; _complete_asg; printf '%s\n' \"${COMPREPLY[@]}\"")
                        .redirectError(ProcessBuilder.Redirect.DISCARD) // no line is typed here
                        .start();
        String text = new String(bash.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, bash.waitFor(), text);
        return text.lines().toList();
    }

    @Test
    void commandsOptionsAndValuesAreCompleted() throws Exception {
        assertEquals(List.of("serve"), offered("ser"));
        assertTrue(offered("serve", "--max-p").contains("--max-pixels"));
        assertEquals(List.of("--negative-prompt"), offered("generate", "--neg"));
        assertTrue(offered("compare", "--methods", "").contains("demofusion"));
    }
}
