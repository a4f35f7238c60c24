// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.CudaEvent;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.Memory;
import io.github.asg4j.device.Queue;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Stage;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * One device's part in one request: its memory, its bindings, its clock. Used by one thread; {@link
 * #terminate} by any, {@link #readBehind} by that of the request.
 */
final class Worker implements Hands, AutoCloseable {
    final int index;
    final Kernels kernels;
    final Queue queue;
    final InFlight calls;

    /** Keeps the calls of this worker; null: nobody asked. */
    final @Nullable CallLog log;

    long unetNanos;
    long kernelNanos;
    long exchangeNanos;
    long waitNanos;

    /** Views that went through the denoiser in {@link #unetNanos}. */
    long views;

    private final Lane lane;
    private final Memory memory;
    private final Memory staging;
    private final Memory host;
    private final WorkerHook hook;
    private final List<MemorySegment> owned = new ArrayList<>();
    private final List<CallBuffers> buffers = new ArrayList<>();
    private final List<CudaEvent> events = new ArrayList<>();
    private final Runnable spoil = this::spoil;
    private final Interruptible network = new Interruptible();
    private long published;

    /** Of each worker the last publication that this one's work comes after. */
    private final long[] awaited;

    /** The last own publication that what {@link #readBehind} reads comes after. */
    private long awaitedBySide;

    /**
     * @param workers how many there are
     * @param log of this worker's calls; null: none is kept
     */
    Worker(int index, int workers, Lane lane, WorkerHook hook, @Nullable CallLog log) {
        this.index = index;
        this.lane = lane;
        this.kernels = lane.kernels();
        this.queue = lane.queue();
        this.hook = hook;
        this.log = log;
        awaited = new long[workers];
        queue.enter();
        memory = queue.newMemory(lane.name());
        staging = queue.newStagingMemory(lane.name() + " staging");
        host = new Memory(lane.name() + " host");
        calls =
                switch (queue) {
                    case CudaStream stream -> new DeviceCalls(this, stream);
                    default -> new HostCalls(this);
                };
    }

    String name() {
        return lane.name();
    }

    /** Whether it works on host memory, which it then shares with all others. */
    boolean onHost() {
        return !(queue instanceof CudaStream);
    }

    /** Of a worker on a GPU. */
    CudaStream stream() {
        return (CudaStream) queue;
    }

    /** Of a worker on a GPU; lives as long as the worker. */
    CudaEvent newEvent() {
        CudaEvent event = stream().device().newEvent();
        events.add(event);
        return event;
    }

    /** Number of the next publication of this worker ({@link DeviceTensor}). */
    long nextSequence() {
        return ++published;
    }

    /**
     * Later work comes after what {@code writer} had enqueued at its publication {@code sequence},
     * which {@code event} recorded; nothing is enqueued if it does already.
     */
    void await(Worker writer, long sequence, CudaEvent event) {
        if (awaited[writer.index] < sequence) {
            awaited[writer.index] = sequence;
            stream().await(event);
        }
    }

    /** Float32 [count] of this worker's own device memory. */
    MemorySegment floats(long count, String label) {
        MemorySegment segment = memory.floats(count, name() + " " + label);
        owned.add(segment);
        return segment;
    }

    /** Of this worker's own device memory. */
    MemorySegment bytes(long bytes, String label) {
        return memory.allocate(bytes, name() + " " + label);
    }

    /** What {@link Queue#upload} takes; the device memory itself where that is the host's. */
    MemorySegment staging(long bytes, String label) {
        return staging.allocate(bytes, name() + " " + label);
    }

    @Override
    public MemorySegment hostFloats(long count, String label) {
        MemorySegment segment = host.floats(count, name() + " " + label);
        owned.add(segment);
        return segment;
    }

    /** A resize with its tables and working memory on this device. */
    Resize resize(int planes, ResampleAxis y, ResampleAxis x) {
        return onHost()
                ? new Resize(memory, planes, y, x)
                : new Resize(memory, planes, y.movedTo(queue, memory), x.movedTo(queue, memory));
    }

    /** A tensor in host memory, for the worker's thread to look at; waits for it. */
    MemorySegment look(Shared tensor) {
        tensor.acquireAll(this);
        MemorySegment own = tensor.on(this);
        if (onHost()) {
            return own;
        }
        MemorySegment seen = host.allocate(own.byteSize(), name() + " look");
        queue.read(seen, own);
        return seen;
    }

    /** The worker's model inputs and outputs for calls of this shape, made on first use. */
    CallBuffers buffers(Conditioning conditioning, Stage.Call call, int copies, int h, int w) {
        int views = call.count();
        int room = onHost() ? views : call.room();
        for (CallBuffers b : buffers) {
            if (b.fits(conditioning, views, room, copies, h, w)) {
                return b;
            }
        }
        CallBuffers b = new CallBuffers(this, conditioning, views, room, copies, h, w);
        buffers.add(b);
        return b;
    }

    void beforeStep(Units part, int unit, int step) {
        if (hook.enabled()) {
            hook.before(
                    new WorkerHook.Point(index, part.name(), unit, part.joins(unit), step, spoil));
        }
    }

    /** Now, where the calling thread does the work; on a GPU the {@link #calls} are timed there. */
    long clock() {
        return onHost() ? System.nanoTime() : 0;
    }

    /** Counts the kernels since {@code start}; returns now. */
    long kernels(long start) {
        long now = clock();
        kernelNanos += now - start;
        return now;
    }

    /** Counts the exchange since {@code start}; returns now. */
    long exchange(long start) {
        long now = clock();
        exchangeNanos += now - start;
        return now;
    }

    /** Runs the denoiser and counts its time. */
    void run(CallBuffers b) {
        b.upload();
        calls.networkBegins();
        try {
            run(b.binding);
            views += b.views();
        } finally {
            calls.networkEnds();
        }
    }

    @Override
    public void run(Binding binding) {
        network.run(binding);
    }

    /** Ends a running call at its next node; no other one is begun. */
    void terminate() {
        network.terminate();
    }

    /**
     * Copies from the worker's memory to host memory once its publication {@code sequence}, which
     * {@code event} recorded, is there; for the thread of the request.
     */
    void readBehind(long sequence, CudaEvent event, MemorySegment to, MemorySegment from) {
        CudaStream side = (CudaStream) lane.side();
        side.enter();
        if (awaitedBySide < sequence) {
            awaitedBySide = sequence;
            side.await(event);
        }
        side.read(to, from);
    }

    long bytes() {
        return memory.bytes() + staging.bytes() + host.bytes();
    }

    private void spoil() {
        if (!onHost()) {
            return; // what is on a GPU that is lost is given up
        }
        for (MemorySegment segment : owned) {
            for (long i = 0; i < segment.byteSize() / 4; i++) {
                segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.NaN);
            }
        }
    }

    /** Waits for the device. */
    void settle() {
        queue.enter();
        queue.synchronize();
    }

    /** Frees all of it, whatever fails; once all workers of the request are settled. */
    @Override
    public void close() {
        List<Runnable> parts = new ArrayList<>();
        parts.add(queue::enter);
        buffers.reversed().forEach(b -> parts.add(b::close));
        parts.add(calls::close);
        events.forEach(event -> parts.add(event::close));
        parts.addAll(List.of(memory::close, staging::close, host::close));
        RuntimeException failure = null;
        for (Runnable part : parts) {
            try {
                part.run();
            } catch (RuntimeException e) {
                failure = failure == null ? e : failure;
            }
        }
        buffers.clear();
        events.clear();
        if (failure != null) {
            throw failure;
        }
    }
}
