// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Engine;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.MethodOptions.AsgOptions;
import io.github.asg4j.TestEngines;
import io.github.asg4j.Tiny;
import io.github.asg4j.run.worker.WorkerHook;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.management.ManagementFactory;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.stream.Stream;

/**
 * The loop allocates nothing: heap bytes of the worker threads in a 100-step run minus those of a
 * 50-step run are at most 64 a step (after warm-up, without a listener), native bytes none. Needs the optimising compiler, which has a JVM of its own (pom.xml).
 */
@Tag("optimised")
class AllocationTest {
    private static final int MAX_BYTES_PER_STEP = 64;

    @ParameterizedTest
    @MethodSource("requests")
    void aStepAllocatesNothing(GenerationRequest request) {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        AtomicLongArray ids = new AtomicLongArray(2);
        WorkerHook remember = point -> ids.set(point.worker(), Thread.currentThread().threadId());
        // Finding the threads needs the hook, which allocates; what is measured has none.
        ToggledHook hook = new ToggledHook(remember);
        try (Engine engine = TestEngines.open(Tiny.options(2), hook)) {
            engine.submit(request).join();
            hook.enabled = false;
            for (int warm = 0; warm < 10; warm++) {
                engine.submit(request.toBuilder().steps(100).build()).join();
            }
            long best = Long.MAX_VALUE;
            // The JIT may compile in between: the least of some runs is the loop itself.
            for (int run = 0; run < 5; run++) {
                long fifty = allocated(threads, ids, engine, request, 50);
                long hundred = allocated(threads, ids, engine, request, 100);
                best = Math.min(best, (hundred - fifty) / 50);
            }
            assertTrue(best <= MAX_BYTES_PER_STEP, best + " bytes of heap per step, " + request);
        }
    }

    static Stream<GenerationRequest> requests() {
        return Stream.of(
                Tiny.request().scheduler("dpmpp_2m").build(),
                Tiny.request()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        GuideOptions.DEFAULT.withInteractionSteps(0)))
                        .build(),
                Tiny.request()
                        .options(
                                AsgOptions.DEFAULT.withGuide(
                                        GuideOptions.DEFAULT.withInteractionSteps(
                                                GuideOptions.EVERY_STEP)))
                        .build(),
                Tiny.request().method("demofusion").build(),
                Tiny.request().method("relay").build());
    }

    private static long allocated(
            com.sun.management.ThreadMXBean threads,
            AtomicLongArray ids,
            Engine engine,
            GenerationRequest request,
            int steps) {
        long before = sum(threads, ids);
        engine.submit(request.toBuilder().steps(steps).build()).join();
        return sum(threads, ids) - before;
    }

    private static long sum(com.sun.management.ThreadMXBean threads, AtomicLongArray ids) {
        long bytes = 0;
        for (int i = 0; i < ids.length(); i++) {
            bytes += threads.getThreadAllocatedBytes(ids.get(i));
        }
        return bytes;
    }

    /** A hook that can be switched off; its point objects are then dead and not allocated. */
    private static final class ToggledHook implements WorkerHook {
        private final WorkerHook inner;
        private volatile boolean enabled = true;

        ToggledHook(WorkerHook inner) {
            this.inner = inner;
        }

        @Override
        public void before(Point point) {
            if (enabled) {
                inner.before(point);
            }
        }

        @Override
        public boolean enabled() {
            return enabled;
        }
    }
}
