// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.CudaEvent;
import io.github.asg4j.device.Memory;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/**
 * One copy per GPU worker. A reader fetches a part from its writer's copy by its own stream, behind
 * the event that the writer recorded: nobody writes into another's memory, and no writer waits for
 * its readers beyond the order that {@link #await} gives.
 *
 * <p>The writer may record the event anew before a reader has waited for it: the reader then waits
 * for more than it needs, never for less.
 */
final class DeviceTensor implements Shared {
    private final String label;
    private final long bytes;

    /** Where each part begins, and behind them the end; bytes. */
    private final long[] offsets;

    private final @Nullable MemorySegment origin;
    private final @Nullable MemorySegment[] copies;
    private final @Nullable Written[] written;

    /** How often each part was published, and what of it each worker has fetched. */
    private final long[] versions;

    private final long[][] fetched;

    /** Who wrote a part, where, and the event behind it: of one worker, kept for its next one. */
    private static final class Written {
        final Worker worker;
        final MemorySegment data;
        final CudaEvent ownEvent;

        /** Its own, or that of another tensor. */
        CudaEvent event;

        /** Of the worker's publications, which one it was. */
        long sequence;

        Written(Worker worker, MemorySegment data, CudaEvent event) {
            this.worker = worker;
            this.data = data;
            this.ownEvent = event;
            this.event = event;
        }
    }

    /**
     * @param workers how many there are
     * @param origin what every copy starts with, in host memory and left as it is; null: zeros
     */
    DeviceTensor(int workers, String label, long[] partBytes, @Nullable MemorySegment origin) {
        this.label = label;
        this.origin = origin;
        offsets = new long[partBytes.length + 1];
        for (int part = 0; part < partBytes.length; part++) {
            offsets[part + 1] = offsets[part] + partBytes[part];
        }
        bytes = offsets[partBytes.length];
        copies = new MemorySegment[workers];
        written = new Written[partBytes.length];
        versions = new long[partBytes.length];
        fetched = new long[workers][partBytes.length];
    }

    @Override
    public MemorySegment on(Worker worker) {
        MemorySegment copy = copies[worker.index];
        if (copy == null) {
            copy = worker.bytes(bytes, label);
            if (origin != null) {
                worker.queue.write(copy, origin);
            }
            copies[worker.index] = copy;
        }
        return copy;
    }

    private MemorySegment part(MemorySegment copy, int part) {
        return copy.asSlice(offsets[part], offsets[part + 1] - offsets[part]);
    }

    @Override
    public void publish(Worker worker, int part) {
        Written own = writtenBy(worker, part);
        own.event = own.ownEvent;
        worker.stream().record(own.event);
        own.sequence = worker.nextSequence();
        versions[part]++;
    }

    @Override
    public void publishWith(Worker worker, int part, Shared other) {
        if (!(other instanceof DeviceTensor tensor) || tensor.written[0] == null) {
            throw new IllegalArgumentException("the other tensor is not published on a device");
        }
        Written own = writtenBy(worker, part);
        own.event = tensor.written[0].event;
        own.sequence = tensor.written[0].sequence;
        versions[part]++;
    }

    private Written writtenBy(Worker worker, int part) {
        Written last = written[part];
        if (last == null || last.worker != worker) {
            last = new Written(worker, part(on(worker), part), worker.newEvent());
            written[part] = last;
        }
        return last;
    }

    @Override
    public void await(Worker worker, int part) {
        Written last = written[part];
        if (last != null && last.worker != worker) {
            worker.await(last.worker, last.sequence, last.event);
        }
    }

    @Override
    public void acquire(Worker worker, int part) {
        Written last = written[part];
        if (last != null
                && last.worker != worker
                && fetched[worker.index][part] != versions[part]) {
            fetched[worker.index][part] = versions[part];
            worker.await(last.worker, last.sequence, last.event);
            long size = last.data.byteSize();
            worker.stream()
                    .copyFrom(
                            last.worker.stream().device(),
                            on(worker).asSlice(offsets[part], size),
                            last.data,
                            size);
        }
    }

    @Override
    public MemorySegment read(Memory memory) {
        MemorySegment host = memory.allocate(bytes, label);
        if (origin != null) {
            host.copyFrom(origin);
        }
        for (int part = 0; part < written.length; part++) {
            Written last = written[part];
            if (last != null) {
                last.worker.readBehind(last.event, part(host, part), last.data);
            }
        }
        return host;
    }

    @Override
    public long byteSize() {
        return bytes;
    }

    @Override
    public int parts() {
        return written.length;
    }
}
