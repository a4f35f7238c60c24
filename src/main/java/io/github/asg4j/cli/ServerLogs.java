// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.io.PrintStream;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** What a server logs: its access log on a stream of its own, and no more than warnings of Jetty. */
final class ServerLogs {
    // Held here, because the log manager forgets loggers with their levels and handlers.
    private static final Logger LOG = Logger.getLogger("io.github.asg4j.server.access");
    private static final Logger JETTY = Logger.getLogger("org.eclipse.jetty");

    private ServerLogs() {}

    /** Writes lines of the access log to {@code out}, as they are. */
    static void install(PrintStream out) {
        JETTY.setLevel(Level.WARNING);
        for (Handler old : LOG.getHandlers()) {
            LOG.removeHandler(old);
        }
        LOG.setUseParentHandlers(false);
        LOG.setLevel(Level.INFO);
        LOG.addHandler(
                new Handler() {
                    @Override
                    public void publish(LogRecord line) {
                        if (isLoggable(line)) {
                            out.println(line.getMessage());
                        }
                    }

                    @Override
                    public void flush() {
                        out.flush();
                    }

                    @Override
                    public void close() {
                        flush();
                    }
                });
    }
}
