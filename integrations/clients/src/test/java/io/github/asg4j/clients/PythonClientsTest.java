// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Runs clients.py with the interpreter that ASG_CLIENTS_PYTHON names, which has the clients. */
class PythonClientsTest {
    @Test
    void openaiAndWebuiapiAreServed() {
        String python = System.getenv("ASG_CLIENTS_PYTHON");
        assumeTrue(python != null, "ASG_CLIENTS_PYTHON names no Python with openai and webuiapi");
        try (OpenServer server = new OpenServer()) {
            assertEquals("served\n", run(python, server));
            server.whileBusy(() -> assertEquals("served\n", run(python, server, "busy")));
        }
    }

    private static String run(String python, OpenServer server, String... more) {
        List<String> command =
                new ArrayList<>(List.of(python, "clients.py", server.address(), OpenServer.KEY));
        command.addAll(List.of(more));
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
