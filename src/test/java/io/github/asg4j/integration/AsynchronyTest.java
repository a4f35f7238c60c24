// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Asynchrony is real: with worker 0, which has the key patch, held before step k, worker 1 goes
 * {@code staleness} steps further than the guidance it has, and no step more; and windows go on where
 * the rows they read are done.
 */
class AsynchronyTest {
    private static final int HELD_STEP = 3;

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void theOtherWorkerRunsAheadByTheStaleness(int staleness) throws Exception {
        CountDownLatch held = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        AtomicInteger begun = new AtomicInteger(-1);
        CountDownLatch reached = new CountDownLatch(1);
        WorkerHook hook =
                point -> {
                    if (!point.stage().equals("stage1") || point.joins()) {
                        return;
                    }
                    if (point.worker() == 0 && point.step() == HELD_STEP) {
                        held.countDown();
                        Tiny.await(release);
                    }
                    if (point.worker() == 1 && point.unit() == 1) {
                        begun.set(point.step());
                        // It begins step k + staleness, whose guidance (step k) is being held.
                        if (point.step() == HELD_STEP + staleness) {
                            reached.countDown();
                        }
                    }
                };
        GuideOptions guide =
                GuideOptions.DEFAULT
                        .withStaleness(staleness)
                        .withInteractionSteps(0)
                        .withStage1Share(1);
        // Two patches, one for each worker.
        GenerationRequest request =
                Tiny.request().size(128, 64).options(AsgOptions.DEFAULT.withGuide(guide)).build();
        try (Engine engine = TestEngines.open(Tiny.options(2), hook)) {
            Generation generation = engine.submit(request);
            assertTrue(held.await(60, TimeUnit.SECONDS), "worker 0 never came to step k");
            assertTrue(
                    reached.await(60, TimeUnit.SECONDS),
                    "worker 1 did not come to step k + " + staleness + ", only to " + begun);
            // It has no way on: the next step can only begin when this one is complete.
            Thread.sleep(200);
            assertEquals(HELD_STEP + staleness, begun.get(), "step that worker 1 is in");
            assertFalse(generation.future().isDone());
            release.countDown();
            generation.join();
        }
    }

    /** Where stage 2 has no barrier: the last window's call of a step is held, others begin the next. */
    @Test
    void windowsGoOnWhereTheirRowsAreDone() throws Exception {
        int last = 8; // of 3 x 3 windows, a call each
        int heldStep = 1;
        CountDownLatch held = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        Set<Integer> next = ConcurrentHashMap.newKeySet();
        CountDownLatch reached = new CountDownLatch(3);
        WorkerHook hook =
                point -> {
                    if (!point.stage().equals("stage2") || point.joins()) {
                        return;
                    }
                    if (point.unit() == last && point.step() == heldStep) {
                        held.countDown();
                        Tiny.await(release);
                    } else if (point.step() == heldStep + 1 && release.getCount() > 0) {
                        next.add(point.unit());
                        reached.countDown();
                    }
                };
        GenerationRequest request = Tiny.request().viewBatch(1).build();
        try (Engine engine = TestEngines.open(Tiny.options(2), hook)) {
            Generation generation = engine.submit(request);
            assertTrue(held.await(60, TimeUnit.SECONDS), "nobody came to the held call");
            assertTrue(
                    reached.await(60, TimeUnit.SECONDS),
                    "in the next step only " + next + " began while a call was held");
            // Those of the first row of windows; all others read rows that the held window meets.
            assertEquals(Set.of(0, 1, 2), next);
            release.countDown();
            generation.join();
        }
    }
}
