// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.TraceReport;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** The calls of one worker and their times; its thread's alone until it has ended. */
public final class CallLog {
    private final String device;
    private final long start;
    private final List<TraceReport.Call> calls = new ArrayList<>();

    /**
     * @param start what times are counted from, as {@link System#nanoTime} gives it
     */
    public CallLog(String device, long start) {
        this.device = device;
        this.start = start;
    }

    /** Times as {@link System#nanoTime} gives them. */
    public void add(
            String stage,
            int unit,
            int step,
            long begin,
            long networkBegin,
            long networkEnd,
            long end) {
        calls.add(
                new TraceReport.Call(
                        device,
                        stage,
                        unit,
                        step,
                        begin - start,
                        networkBegin - start,
                        networkEnd - start,
                        end - start));
    }

    /** Returns the calls in the order of their beginnings: a step that joins calls is logged after them. */
    public List<TraceReport.Call> calls() {
        calls.sort(Comparator.comparingLong(TraceReport.Call::begin));
        return calls;
    }
}
