// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;

import java.io.PrintStream;
import java.util.Locale;

/**
 * Prints how far a generation is: a bar on a terminal, elsewhere one line for each finished stage.
 * Told by the engine's threads.
 */
final class Progress implements GenerationListener, AutoCloseable {
    /** Where and how to print. */
    enum Style {
        NONE,
        LINES,
        BAR
    }

    private static final int BAR_CELLS = 30;
    private static final long MIN_NANOS_BETWEEN_BARS = 50_000_000;

    private final PrintStream err;
    private final Style style;
    private final String label;
    private int printedWidth;
    private long printedNanos = Long.MIN_VALUE;
    private String finishedStage = "";
    private boolean closed;

    /**
     * @param label what is drawn, before the bar; empty: nothing
     */
    Progress(PrintStream err, Style style, String label) {
        this.err = err;
        this.style = style;
        this.label = label;
    }

    @Override
    public synchronized void onEvent(GenerationEvent event) {
        if (closed) {
            return;
        }
        boolean finished = event.step() >= event.of();
        switch (style) {
            case NONE -> {}
            case LINES -> {
                if (finished && !event.stage().equals(finishedStage)) {
                    finishedStage = event.stage();
                    err.println(line(event));
                }
            }
            case BAR -> {
                long now = event.elapsedNanos();
                if (finished
                        || printedNanos == Long.MIN_VALUE
                        || now - printedNanos >= MIN_NANOS_BETWEEN_BARS) {
                    printedNanos = now;
                    show(label + bar(event));
                }
            }
        }
    }

    /** Takes the bar away; later events print nothing. */
    @Override
    public synchronized void close() {
        if (printedWidth > 0) {
            show("");
            err.print('\r');
            err.flush();
        }
        closed = true;
    }

    private void show(String text) {
        err.print('\r' + text + " ".repeat(Math.max(0, printedWidth - text.length())));
        err.flush();
        printedWidth = text.length();
    }

    private static String line(GenerationEvent event) {
        return String.format(
                Locale.ROOT,
                "%s: %d of %d, %.1f s",
                event.stage(),
                event.step(),
                event.of(),
                event.elapsedNanos() / 1e9);
    }

    private static String bar(GenerationEvent event) {
        int cells = event.of() == 0 ? BAR_CELLS : BAR_CELLS * event.step() / event.of();
        return String.format(
                Locale.ROOT,
                "%-7s [%s%s] %d/%d  %.1f s",
                event.stage(),
                "#".repeat(cells),
                "-".repeat(BAR_CELLS - cells),
                event.step(),
                event.of(),
                event.elapsedNanos() / 1e9);
    }
}
