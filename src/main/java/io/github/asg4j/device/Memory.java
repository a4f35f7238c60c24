// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import io.github.asg4j.OutOfMemoryException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A region of off-heap host memory that is freed as a whole: what one generation or one worker
 * owns. Allocation is thread-safe; {@link #close()} is idempotent and has to come after all work
 * that uses the memory. The bytes of all open regions are counted ({@link #bytesInUse()}).
 */
public final class Memory implements AutoCloseable {
    /** Cache line and AVX-512 vector; rows of tensors start on it. */
    public static final long ALIGNMENT = 64;

    private static final AtomicLong IN_USE = new AtomicLong();

    private final String owner;
    private final Arena arena = Arena.ofShared();
    private long bytes;
    private boolean closed;

    public Memory(String owner) {
        this.owner = owner;
    }

    /** Bytes of all regions that are not closed, in this process. */
    public static long bytesInUse() {
        return IN_USE.get();
    }

    /** Bytes allocated from this region. */
    public synchronized long bytes() {
        return bytes;
    }

    /** Zeroed memory, aligned to {@link #ALIGNMENT}. */
    public synchronized MemorySegment allocate(long size, String label) {
        if (closed) {
            throw new IllegalStateException(owner + " is closed: no memory for " + label);
        }
        MemorySegment segment;
        try {
            segment = arena.allocate(Math.max(size, 1), ALIGNMENT);
        } catch (OutOfMemoryError | IllegalArgumentException e) {
            throw new OutOfMemoryException(
                    owner
                            + ": no "
                            + size
                            + " bytes for "
                            + label
                            + "; draw a smaller picture or give the process more memory",
                    e);
        }
        bytes += size;
        IN_USE.addAndGet(size);
        return segment.asSlice(0, size);
    }

    /** Zeroed float32 [count]. */
    public MemorySegment floats(long count, String label) {
        long size;
        try {
            size = Math.multiplyExact(count, 4L);
        } catch (ArithmeticException e) {
            throw new OutOfMemoryException(owner + ": " + count + " floats for " + label, e);
        }
        return allocate(size, label);
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            arena.close();
            IN_USE.addAndGet(-bytes);
        }
    }
}
