// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.CancelledException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.util.List;

class WorkSchedulerTest {
    /** The caller looks, and only then waits: a change in between once cost it the whole of its patience. */
    @Test
    @Timeout(20)
    void aChangeThatCameBeforeTheWaitingIsNotMissed() {
        WorkScheduler scheduler = new WorkScheduler(List.of("cpu#0"), new double[] {1});
        assertEquals(0, scheduler.awaitChange(0, 1));
        scheduler.fail(new CancelledException("the generation was cancelled"));
        long seen = scheduler.awaitChange(0, 3_600_000);
        assertEquals(1, seen);
        assertEquals(1, scheduler.awaitChange(seen, 1));
    }
}
