// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Whether someone watches. */
final class Terminal {
    private Terminal() {}

    /**
     * {@code System.console()} answers for standard input and output together, so that no bar would
     * be drawn under {@code --json > file}.
     */
    static boolean isStandardError() {
        try {
            String target = Files.readSymbolicLink(Path.of("/proc/self/fd/2")).toString();
            return !"dumb".equals(System.getenv("TERM"))
                    && (target.startsWith("/dev/pts/")
                            || target.startsWith("/dev/tty")
                            || target.equals("/dev/console"));
        } catch (IOException | UnsupportedOperationException e) {
            return false;
        }
    }
}
