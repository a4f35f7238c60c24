// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.batch.BatchProgress;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What batch prints: how far it is, and what there is at the end. */
final class BatchOutput implements AutoCloseable {
    private static final long NANOS_BETWEEN_LINES = 1_000_000_000L;

    private final Cli cli;
    private final boolean json;
    private final CountProgress progress;
    private @Nullable BatchProgress last;
    private long printedNanos = System.nanoTime() - NANOS_BETWEEN_LINES;

    BatchOutput(Cli cli, boolean json) {
        this.cli = cli;
        this.json = json;
        progress = new CountProgress("batch", cli.err(), cli.terminal());
    }

    /** Tells how far it is. */
    void at(BatchProgress now) {
        last = now;
        List<String> facts = new ArrayList<>();
        if (now.drawn() > 0) {
            facts.add(rate(now));
        }
        if (now.errors() > 0) {
            facts.add(errors(now.errors()));
        }
        progress.at(now.done(), now.of(), String.join(", ", facts), now.secondsLeft(), "");
        if (json && System.nanoTime() - printedNanos >= NANOS_BETWEEN_LINES) {
            printedNanos = System.nanoTime();
            cli.out().println(Json.write(map(now)));
        }
    }

    private static String rate(BatchProgress now) {
        double rate = now.rate();
        return rate >= 1
                ? String.format(Locale.ROOT, "%.1f/s", rate)
                : String.format(Locale.ROOT, "%.1f s each", 1 / rate);
    }

    private static String errors(long errors) {
        return errors == 1 ? "1 error" : errors + " errors";
    }

    private static Map<String, Object> map(BatchProgress now) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("done", now.done());
        map.put("of", now.of());
        map.put("errors", now.errors());
        map.put("drawn", now.drawn());
        map.put("seconds", rounded(now.seconds()));
        map.put("drawing_seconds", rounded(now.drawingSeconds()));
        map.put("pictures_per_second", rounded(now.rate()));
        if (!Double.isNaN(now.secondsLeft())) {
            map.put("seconds_left", rounded(now.secondsLeft()));
        }
        return map;
    }

    private static double rounded(double value) {
        return Math.rint(value * 1e4) / 1e4;
    }

    /** All is done. */
    void finished(Path folder) {
        close();
        BatchProgress end = last;
        if (end == null) {
            throw new IllegalStateException("nothing was told");
        }
        if (json) {
            Map<String, Object> map = map(end);
            map.put("finished", true);
            map.put("folder", folder.toString());
            cli.out().println(Json.write(map));
            return;
        }
        cli.out()
                .println(
                        folder
                                + ": "
                                + end.of()
                                + (end.of() == 1 ? " picture" : " pictures")
                                + (end.errors() == 0
                                        ? ""
                                        : ", " + errors(end.errors()) + " (see records.jsonl)")
                                + "; "
                                + end.drawn()
                                + " drawn now"
                                + (end.drawn() == 0
                                        ? ""
                                        : " in "
                                                + CountProgress.duration(end.seconds())
                                                + ", "
                                                + rate(end)));
    }

    /** Takes the bar away. */
    @Override
    public void close() {
        progress.close();
    }
}
