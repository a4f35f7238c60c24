// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/**
 * CPU time of calls, or on a GPU their time, beside what JMH takes: on a busy machine the wall clock
 * measures the others.
 */
@AuxCounters(AuxCounters.Type.EVENTS)
@State(Scope.Thread)
public class Clock {
    public long nanos;
    public long calls;

    void add(long more, long callsMore) {
        nanos += more;
        calls += callsMore;
    }
}
