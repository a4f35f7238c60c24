// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import java.io.PrintStream;
import java.util.Locale;

/** How many of many pictures are done: a bar on a terminal, elsewhere a line now and then. */
final class CountProgress implements AutoCloseable {
    private static final int BAR_CELLS = 30;
    private static final long NANOS_BETWEEN_LINES = 30_000_000_000L;

    private final String command;
    private final PrintStream err;
    private final boolean terminal;
    private int printedWidth;
    private long printedNanos;

    /**
     * @param command whose lines they are
     */
    CountProgress(String command, PrintStream err, boolean terminal) {
        this.command = command;
        this.err = err;
        this.terminal = terminal;
        printedNanos = System.nanoTime() - NANOS_BETWEEN_LINES;
    }

    /**
     * Tells how far it is.
     *
     * @param facts what is said besides, as in "2 errors"; empty: nothing
     * @param secondsLeft NaN: not known
     * @param next what is done next, for who watches
     */
    void at(long done, long of, String facts, double secondsLeft, String next) {
        String said =
                (facts.isEmpty() ? "" : ", " + facts)
                        + (Double.isNaN(secondsLeft) ? "" : ", " + duration(secondsLeft) + " left");
        if (terminal) {
            int cells = (int) (BAR_CELLS * done / of);
            show(
                    String.format(
                            Locale.ROOT,
                            "[%s%s] %d/%d%s  %s",
                            "#".repeat(cells),
                            "-".repeat(BAR_CELLS - cells),
                            done,
                            of,
                            said,
                            next));
        } else if (System.nanoTime() - printedNanos >= NANOS_BETWEEN_LINES) {
            printedNanos = System.nanoTime();
            err.println(command + ": " + done + " of " + of + said);
        }
    }

    /** As in "40 s", "12 min" and "2.5 h". */
    static String duration(double seconds) {
        long s = Math.round(seconds);
        if (s < 90) {
            return s + " s";
        }
        return s < 5400 ? Math.round(s / 60.0) + " min" : Math.round(s / 360.0) / 10.0 + " h";
    }

    private void show(String text) {
        err.print('\r' + text + " ".repeat(Math.max(0, printedWidth - text.length())));
        err.flush();
        printedWidth = text.length();
    }

    /** Takes the bar away. */
    @Override
    public void close() {
        if (printedWidth > 0) {
            show("");
            err.print('\r');
            err.flush();
        }
    }
}
