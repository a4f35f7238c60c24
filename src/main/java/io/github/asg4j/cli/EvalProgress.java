// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.evaluate.Evaluation;
import io.github.asg4j.evaluate.EvaluationRow;

import java.io.PrintStream;
import java.util.Locale;

/** How far an evaluation is: a bar on a terminal, elsewhere a line now and then. */
final class EvalProgress implements Evaluation.Progress, AutoCloseable {
    private static final int BAR_CELLS = 30;
    private static final long NANOS_BETWEEN_LINES = 30_000_000_000L;

    private final PrintStream err;
    private final boolean terminal;
    private int printedWidth;
    private long printedNanos;

    EvalProgress(PrintStream err, boolean terminal) {
        this.err = err;
        this.terminal = terminal;
        printedNanos = System.nanoTime() - NANOS_BETWEEN_LINES;
    }

    @Override
    public void at(EvaluationRow.Key next, int done, int of, double secondsLeft) {
        String left = Double.isNaN(secondsLeft) ? "" : ", " + duration(secondsLeft) + " left";
        if (terminal) {
            int cells = BAR_CELLS * done / of;
            show(
                    String.format(
                            Locale.ROOT,
                            "[%s%s] %d/%d%s  %s",
                            "#".repeat(cells),
                            "-".repeat(BAR_CELLS - cells),
                            done,
                            of,
                            left,
                            next));
        } else if (System.nanoTime() - printedNanos >= NANOS_BETWEEN_LINES) {
            printedNanos = System.nanoTime();
            err.println("eval: " + done + " of " + of + left);
        }
    }

    private static String duration(double seconds) {
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
