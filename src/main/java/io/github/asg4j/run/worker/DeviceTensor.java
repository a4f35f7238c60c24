// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.device.CudaEvent;
import io.github.asg4j.device.Memory;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * One copy per GPU worker. A reader fetches a part from its writer's copy by its own stream, behind
 * the event that the writer recorded: nobody writes into another's memory, and no writer waits for
 * its readers beyond the order that {@link #await} gives.
 *
 * <p>The writer may record the event anew before a reader has waited for it: the reader then waits
 * for more than it needs, never for less.
 */
public final class DeviceTensor implements SharedTensor {
    private final String label;
    private final long bytes;

    /** How many pieces each part has: one in each of as many planes. */
    private final int planes;

    /** Where in a plane each part begins, and behind them the plane's end; bytes. */
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
        final MemorySegment[] pieces;
        final CudaEvent ownEvent;

        /** Its own, or that of another tensor. */
        CudaEvent event;

        /**
         * Number of this publication among the worker's. Set behind the record of the event: who only
         * waits may look while the writer is a step ahead, and then waits for that one.
         */
        volatile long sequence;

        Written(Worker worker, MemorySegment[] pieces, CudaEvent event) {
            this.worker = worker;
            this.pieces = pieces;
            this.ownEvent = event;
            this.event = event;
        }
    }

    /**
     * @param workers how many there are
     * @param planes 1: the parts lie one behind the other; else each has a piece in every plane
     * @param partBytes of each part in one plane
     * @param origin what every copy starts with, in host memory and left as it is; null: zeros
     */
    public DeviceTensor(
            int workers,
            String label,
            int planes,
            long[] partBytes,
            @Nullable MemorySegment origin) {
        this.label = label;
        this.origin = origin;
        this.planes = planes;
        offsets = new long[partBytes.length + 1];
        for (int part = 0; part < partBytes.length; part++) {
            offsets[part + 1] = offsets[part] + partBytes[part];
        }
        bytes = planes * offsets[partBytes.length];
        copies = new MemorySegment[workers];
        written = new Written[partBytes.length];
        versions = new long[partBytes.length];
        fetched = new long[workers][partBytes.length];
    }

    @Override
    public MemorySegment on(Worker worker) {
        MemorySegment copy = copies[worker.index()];
        if (copy == null) {
            copy = worker.bytes(bytes, label);
            if (origin != null) {
                worker.queue().write(copy, origin);
            }
            copies[worker.index()] = copy;
        }
        return copy;
    }

    /** Returns what of a part lies in one plane. */
    private MemorySegment piece(MemorySegment copy, int part, int plane) {
        long size = offsets[part + 1] - offsets[part];
        return copy.asSlice(plane * offsets[written.length] + offsets[part], size);
    }

    /** Returns all pieces of a part. */
    private MemorySegment[] pieces(MemorySegment copy, int part) {
        MemorySegment[] pieces = new MemorySegment[planes];
        Arrays.setAll(pieces, plane -> piece(copy, part, plane));
        return pieces;
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
    public void publishWith(Worker worker, int part, SharedTensor other) {
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
            last = new Written(worker, pieces(on(worker), part), worker.newEvent());
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
                && fetched[worker.index()][part] != versions[part]) {
            fetched[worker.index()][part] = versions[part];
            worker.await(last.worker, last.sequence, last.event);
            for (int plane = 0; plane < planes; plane++) {
                MemorySegment to = piece(on(worker), part, plane);
                worker.stream()
                        .copyFrom(
                                last.worker.stream().device(),
                                to,
                                last.pieces[plane],
                                to.byteSize());
            }
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
            for (int plane = 0; last != null && plane < planes; plane++) {
                last.worker.readBehind(
                        last.sequence, last.event, piece(host, part, plane), last.pieces[plane]);
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
