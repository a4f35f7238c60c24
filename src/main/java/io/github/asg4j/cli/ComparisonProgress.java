// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.GenerationListener;
import io.github.asg4j.evaluate.Drawing;
import io.github.asg4j.evaluate.Gallery;

import org.jspecify.annotations.Nullable;

import java.io.PrintStream;
import java.util.Locale;
import java.util.OptionalInt;

/** Prints a line for each picture of a comparison, and on a terminal a bar for the one in work. */
final class ComparisonProgress implements Gallery.Observer, AutoCloseable {
    private final PrintStream err;
    private final boolean terminal;
    private @Nullable Progress progress;
    private long begun;

    ComparisonProgress(PrintStream err, boolean terminal) {
        this.err = err;
        this.terminal = terminal;
    }

    @Override
    public GenerationListener begins(int index, int of, String name, OptionalInt secondsLeft) {
        begun = System.nanoTime();
        String left =
                secondsLeft.isEmpty() ? "" : " (" + duration(secondsLeft.getAsInt()) + " left)";
        progress =
                new Progress(
                        err,
                        terminal ? Progress.Style.BAR : Progress.Style.NONE,
                        place(index, of) + name + left + ": ");
        return progress;
    }

    @Override
    public void ended(int index, int of, String name, Drawing drawing) {
        close();
        String result =
                switch (drawing) {
                    case Drawing.Drawn drawn ->
                            String.format(Locale.ROOT, "%.1f s", (System.nanoTime() - begun) / 1e9);
                    case Drawing.Refused refused -> "not drawn";
                };
        err.println(place(index, of) + name + ": " + result);
    }

    /** Takes the bar away. */
    @Override
    public void close() {
        if (progress != null) {
            progress.close();
        }
    }

    private static String place(int index, int of) {
        return String.format(
                Locale.ROOT, "[%" + Integer.toString(of).length() + "d/%d] ", index, of);
    }

    private static String duration(int seconds) {
        return seconds < 100 ? seconds + " s" : (seconds + 59) / 60 + " min";
    }
}
