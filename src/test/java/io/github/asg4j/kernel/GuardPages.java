// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Buffers that touch an unmapped page with their last byte, or with their first: a kernel that reads
 * or writes one byte beyond a buffer crashes the process. One mapping of equal slots, each between
 * two guards.
 */
final class GuardPages implements AutoCloseable {
    /** As many as any case has buffers. */
    static final int SLOTS = Kernels.MAX_MAPS + 1;

    static final long PAGE = 4096;
    private static final long SLOT = 64 * PAGE;
    private static final int PROT_NONE = 0;
    private static final int READ_WRITE = 3;
    private static final int PRIVATE_ANONYMOUS = 0x22;

    private static final MethodHandle MMAP =
            function(
                    "mmap",
                    FunctionDescriptor.of(
                            JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT,
                            JAVA_LONG));
    private static final MethodHandle MPROTECT =
            function("mprotect", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
    private static final MethodHandle MUNMAP =
            function("munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));

    private final long base;
    private final int slots;
    private int used;

    GuardPages(int slots) throws Throwable {
        this.slots = slots;
        base = (long) MMAP.invokeExact(0L, bytes(), PROT_NONE, PRIVATE_ANONYMOUS, -1, 0L);
        if (base == -1) {
            throw new OutOfMemoryError("mmap of " + bytes() + " bytes");
        }
        for (int i = 0; i < slots; i++) {
            int status = (int) MPROTECT.invokeExact(start(i), SLOT, READ_WRITE);
            if (status != 0) {
                throw new OutOfMemoryError("mprotect");
            }
        }
    }

    @SuppressWarnings("restricted")
    private static MethodHandle function(String name, FunctionDescriptor descriptor) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().find(name).orElseThrow(), descriptor);
    }

    private long bytes() {
        return slots * (SLOT + PAGE) + PAGE;
    }

    private long start(int slot) {
        return base + PAGE + slot * (SLOT + PAGE);
    }

    /** The next slot's buffer, flush with the guard behind it or with the one before it. */
    @SuppressWarnings("restricted")
    MemorySegment allocate(long size, boolean atEnd) {
        if (used == slots || size > SLOT) {
            throw new IllegalArgumentException("no slot for " + size + " bytes");
        }
        long start = start(used++);
        return MemorySegment.ofAddress(atEnd ? start + SLOT - size : start).reinterpret(size);
    }

    /** Makes all slots free again. */
    void reset() {
        used = 0;
    }

    @Override
    public void close() {
        try {
            int status = (int) MUNMAP.invokeExact(base, bytes());
            if (status != 0) {
                throw new IllegalStateException("munmap");
            }
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
