// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * No native kernel touches a byte beside its buffers: vector code that reads a whole vector at the
 * end of a row is right nearly always. A fault here ends the test process with the kernel's name in
 * its crash report.
 */
class GuardPagesTest {
    @Test
    void kernelsStayInsideTheirBuffers() throws Throwable {
        List<KernelCase> cases = Cases.all();
        try (GuardPages pages = new GuardPages(GuardPages.SLOTS)) {
            for (Kernels kernels : Implementations.natives()) {
                for (KernelCase c : cases) {
                    for (boolean atEnd : new boolean[] {true, false}) {
                        pages.reset();
                        c.run(kernels, c.allocate((name, size) -> pages.allocate(size, atEnd)));
                    }
                }
            }
        }
    }

    /** The guards are there: without them the test above proves nothing. */
    @Test
    void buffersTouchUnmappedPages() throws Throwable {
        try (GuardPages pages = new GuardPages(2)) {
            MemorySegment last = pages.allocate(7 * 4, true);
            MemorySegment first = pages.allocate(7 * 4, false);
            List<String> maps = Files.readAllLines(Path.of("/proc/self/maps"));
            assertTrue(isGuard(maps, last.address() + 28), maps::toString);
            assertTrue(isGuard(maps, first.address() - 1), maps::toString);
        }
    }

    private static boolean isGuard(List<String> maps, long address) {
        return maps.stream()
                .anyMatch(
                        line -> {
                            String[] range = line.substring(0, line.indexOf(' ')).split("-", 2);
                            return Long.parseUnsignedLong(range[0], 16) <= address
                                    && address < Long.parseUnsignedLong(range[1], 16)
                                    && line.contains(" ---p ");
                        });
    }
}
