// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import io.github.asg4j.OutOfMemoryException;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A region of memory that is freed as a whole: what one generation or one worker owns. Off-heap host
 * memory, or the memory of a GPU, or page-locked memory ({@link Queue}). Allocation is thread-safe;
 * {@link #close()} is idempotent and has to come after all work that uses the memory. The bytes of
 * all open regions of host memory are counted ({@link #bytesInUse()}).
 */
public final class Memory implements AutoCloseable {
    /** Cache line and AVX-512 vector; rows of tensors start on it. */
    public static final long ALIGNMENT = 64;

    private static final AtomicLong IN_USE = new AtomicLong();

    private final String owner;
    private final Source source;
    private long bytes;
    private boolean closed;

    /** Where a region's memory comes from: zeroed, freed by {@code close}. */
    private interface Source extends AutoCloseable {
        MemorySegment allocate(long size, String label);

        /** Whether it counts as memory of this process. */
        boolean ofHost();

        @Override
        void close();
    }

    private Memory(String owner, Source source) {
        this.owner = owner;
        this.source = source;
    }

    /** Makes a region of off-heap host memory. */
    public Memory(String owner) {
        this(owner, new Host());
    }

    /** Makes a region of GPU memory, which the stream zeroes. */
    static Memory of(CudaStream stream, String owner) {
        return new Memory(owner, new Buffers(stream, false));
    }

    /** Makes a region of page-locked host memory. */
    static Memory pinned(CudaStream stream, String owner) {
        return new Memory(owner, new Buffers(stream, true));
    }

    /** Bytes of all regions of host memory that are not closed, in this process. */
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
            segment = source.allocate(Math.max(size, 1), label);
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
        if (source.ofHost()) {
            IN_USE.addAndGet(size);
        }
        return segment.asSlice(0, size);
    }

    /**
     * A file's bytes, mapped and not counted: they are to be read, and only while the region is open.
     *
     * @throws IllegalStateException if the region is not of host memory
     */
    public synchronized MemorySegment map(Path file) throws IOException {
        if (closed || !(source instanceof Host host)) {
            throw new IllegalStateException(owner + " maps no files");
        }
        try (FileChannel channel = FileChannel.open(file)) {
            return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), host.arena);
        }
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
            if (source.ofHost()) {
                IN_USE.addAndGet(-bytes);
            }
            source.close();
        }
    }

    private static final class Host implements Source {
        private final Arena arena = Arena.ofShared();

        @Override
        public MemorySegment allocate(long size, String label) {
            return arena.allocate(size, ALIGNMENT);
        }

        @Override
        public boolean ofHost() {
            return true;
        }

        @Override
        public void close() {
            arena.close();
        }
    }

    private static final class Buffers implements Source {
        private final CudaStream stream;
        private final boolean pinned;
        private final Deque<DeviceBuffer> buffers = new ArrayDeque<>();

        Buffers(CudaStream stream, boolean pinned) {
            this.stream = stream;
            this.pinned = pinned;
        }

        @Override
        public MemorySegment allocate(long size, String label) {
            CudaDevice device = stream.device();
            device.makeCurrent();
            DeviceBuffer buffer =
                    pinned ? device.allocateHost(size, label) : device.allocate(size, label);
            buffers.push(buffer);
            if (!pinned) {
                stream.fill(buffer.segment(), (byte) 0, size);
            }
            return buffer.segment();
        }

        @Override
        public boolean ofHost() {
            return pinned;
        }

        @Override
        public void close() {
            stream.device().makeCurrent();
            RuntimeException failure = null;
            while (!buffers.isEmpty()) {
                try {
                    buffers.pop().close();
                } catch (RuntimeException e) { // of a device that is lost; the others count
                    failure = failure == null ? e : failure;
                }
            }
            if (failure != null) {
                throw failure;
            }
        }
    }
}
