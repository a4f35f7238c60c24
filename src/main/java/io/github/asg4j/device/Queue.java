// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.device;

import java.lang.foreign.MemorySegment;

/**
 * Work of one worker in order, and the memory that it is done on: the calling thread and host memory,
 * or a stream and the memory of its GPU. What a GPU does is only enqueued, except where a method says
 * that it waits. One thread at a time.
 */
public sealed interface Queue extends AutoCloseable permits HostQueue, CudaStream {
    /** Prepares the calling thread for using the queue and its memory. */
    void enter();

    /** Memory for tensors of this queue's work: zeroed before later work of it. */
    Memory newMemory(String owner);

    /** Host memory that {@link #upload} and {@link #download} take. */
    Memory newStagingMemory(String owner);

    /** Within this queue's memory. */
    void copy(MemorySegment to, MemorySegment from, long bytes);

    /**
     * From staging memory, which stays as it is until the copy is done, to this queue's memory; the
     * two may be the same memory where the host is the device.
     */
    void upload(MemorySegment to, MemorySegment from, long bytes);

    /** Copies from this queue's memory to staging memory; the two may be the same as in {@link #upload}. */
    void download(MemorySegment to, MemorySegment from, long bytes);

    /** Copies all of a segment from any host memory to this queue's memory; waits. */
    void write(MemorySegment to, MemorySegment from);

    /** Copies all of a segment from this queue's memory to any host memory; waits for all work so far. */
    void read(MemorySegment to, MemorySegment from);

    /** Blocks until all work so far is done; an error of that work comes out here. */
    void synchronize();

    @Override
    void close();
}
