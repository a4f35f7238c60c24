// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.device.Memory;
import io.github.asg4j.run.work.WorkScheduler;

import java.lang.foreign.MemorySegment;

/**
 * A tensor of a request that several workers read. Workers on the CPU have it in common; on GPUs each
 * has its own copy, made at first use. It is cut into parts, one behind the other or each some rows of
 * every plane, and each written by one worker at a time: who has written a part publishes it, who reads
 * it acquires it before.
 *
 * <p>That the writer's call comes before the reader's is the {@link WorkScheduler}'s affair; these calls carry
 * the order over to the devices, where the work is only enqueued. None of them makes the host wait.
 */
public interface SharedTensor {
    /** The worker's copy; called by the worker's thread. */
    MemorySegment on(Worker worker);

    /** The worker has enqueued all work that writes a part. */
    void publish(Worker worker, int part);

    /**
     * As {@link #publish}, where nothing was enqueued since the worker published {@code other}, of one
     * part, that is never published again: who waits for one waits for both.
     */
    void publishWith(Worker worker, int part, SharedTensor other);

    /** Later work of the worker comes after what was published of a part. */
    void await(Worker worker, int part);

    /** The same, and brings the part into the worker's copy. */
    void acquire(Worker worker, int part);

    /**
     * What was published last, or what it was made from, in host memory; waits for it. For the
     * thread that a request is drawn by.
     *
     * @param memory owns the result where the tensor is not in host memory already
     */
    MemorySegment read(Memory memory);

    /** Bytes of a copy. */
    long byteSize();

    default void acquireAll(Worker worker) {
        for (int part = 0; part < parts(); part++) {
            acquire(worker, part);
        }
    }

    int parts();
}
