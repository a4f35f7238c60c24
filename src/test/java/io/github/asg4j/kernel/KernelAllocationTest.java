// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.TestFactory;

import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** A call allocates nothing on the heap, once it is compiled: the loop of a service stays silent. */
class KernelAllocationTest {
    private static final int CALLS = 10_000;

    private static final com.sun.management.ThreadMXBean THREADS =
            (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

    @TestFactory
    Stream<DynamicContainer> callsAllocateNothing() {
        Map<String, KernelCase> smallest = new LinkedHashMap<>();
        for (KernelCase c : Cases.all()) {
            smallest.putIfAbsent(c.operation, c);
        }
        List<KernelCase> cases = List.copyOf(smallest.values());
        return Stream.concat(Implementations.natives().stream(), Stream.of(new JavaKernels()))
                .map(
                        kernels ->
                                DynamicContainer.dynamicContainer(
                                        kernels.name(),
                                        CaseTests.perOperation(
                                                cases, c -> allocatesNothing(kernels, c))));
    }

    private static void allocatesNothing(Kernels kernels, KernelCase c) {
        try (Arena arena = Arena.ofShared()) {
            KernelCase.Buffers buffers = c.allocate((name, bytes) -> arena.allocate(bytes, 4));
            assertEquals(
                    0,
                    allocatedWhenWarm(kernels, c, buffers),
                    () -> kernels.name() + " " + c + ": bytes in " + CALLS + " calls");
        }
    }

    /** The least of several rounds: the first ones are interpreted. */
    private static long allocatedWhenWarm(
            Kernels kernels, KernelCase c, KernelCase.Buffers buffers) {
        long least = Long.MAX_VALUE;
        for (int round = 0; round < 20 && least > 0; round++) {
            long before = THREADS.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < CALLS; i++) {
                c.run(kernels, buffers);
            }
            least = Math.min(least, THREADS.getCurrentThreadAllocatedBytes() - before);
        }
        return least;
    }
}
