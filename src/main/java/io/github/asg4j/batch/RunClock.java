// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.PictureReport;

/** Time of one run of a batch. */
final class RunClock {
    private final long before;
    private final long start = System.nanoTime();
    private long drawn;
    private double drawingSeconds;

    /**
     * @param before records of earlier runs
     */
    RunClock(long before) {
        this.before = before;
    }

    void drew(PictureReport.Times times) {
        drawn++;
        drawingSeconds += (times.load() + times.total()) / 1000;
    }

    /** Takes every record so far as a sample of those to come. */
    BatchProgress progress(Records records, long of) {
        double seconds = (System.nanoTime() - start) / 1e9;
        long here = records.count() - before;
        double left = here == 0 ? Double.NaN : seconds / here * (of - records.count());
        return new BatchProgress(
                records.count(), of, records.errors(), drawn, seconds, drawingSeconds, left);
    }
}
