// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.asg4j.ffi.EmulatedCuda;

import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The CUDA kernels without a GPU: the sources of kernels/ compiled as C++, launched by {@link
 * CudaKernels} through the driver's interface, held to the contract of all kernels.
 */
class EmulatedCudaKernelsTest extends KernelsContract {
    EmulatedCudaKernelsTest() {
        super(EmulatedKernels.create(EmulatedCuda.Order.ASCENDING));
    }

    /** 16-byte accesses at the ends of buffers, at every alignment that a buffer can have. */
    @Test
    void staysInsideItsBuffers() throws Throwable {
        try (GuardPages pages = new GuardPages(GuardPages.SLOTS);
                CudaKernels kernels = EmulatedKernels.create(EmulatedCuda.Order.ASCENDING)) {
            for (KernelCase c : Cases.all()) {
                for (boolean atEnd : new boolean[] {true, false}) {
                    pages.reset();
                    c.run(kernels, c.allocate((name, size) -> pages.allocate(size, atEnd)));
                }
            }
        }
    }

    /** Threads that do not wait for each other where they should give other bits in another order. */
    @Test
    void theOrderOfThreadsDoesNotMatter() {
        List<KernelCase> cases = Cases.all();
        try (Arena arena = Arena.ofConfined()) {
            List<KernelCase.Buffers> expected = run(EmulatedCuda.Order.ASCENDING, cases, arena);
            for (EmulatedCuda.Order order : EmulatedCuda.Order.values()) {
                List<KernelCase.Buffers> found = run(order, cases, arena);
                for (int i = 0; i < cases.size(); i++) {
                    for (String name : cases.get(i).names()) {
                        String what = cases.get(i) + ": " + name + " with threads " + order;
                        MemorySegment a = found.get(i).get(name);
                        assertEquals(-1, a.mismatch(expected.get(i).get(name)), what);
                    }
                }
            }
        }
    }

    private static List<KernelCase.Buffers> run(
            EmulatedCuda.Order order, List<KernelCase> cases, Arena arena) {
        List<KernelCase.Buffers> results = new ArrayList<>();
        try (CudaKernels kernels = EmulatedKernels.create(order)) {
            for (KernelCase c : cases) {
                KernelCase.Buffers buffers = c.allocate((name, size) -> arena.allocate(size, 16));
                c.run(kernels, buffers);
                results.add(buffers);
            }
        }
        return results;
    }
}
