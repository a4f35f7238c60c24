// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.io.PrintStream;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** Lines of the server's access log as they are, on a stream of their own. */
final class AccessLogFormat {
    /** Held here, because the log manager forgets loggers with their handlers. */
    private static final Logger LOG = Logger.getLogger("io.github.asg4j.server.access");

    private AccessLogFormat() {}

    static void install(PrintStream out) {
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
