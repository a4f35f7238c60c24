// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.device.CudaEvent;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.Memory;
import io.github.asg4j.device.Queue;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.kernel.ResampleAxis;
import io.github.asg4j.kernel.Resize;
import io.github.asg4j.ort.Binding;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * One device's part in one request: its memory, its bindings, its clock. Used by one thread; {@link
 * #terminate} by any, {@link #readBehind} by that of the request.
 */
public final class Worker implements NetworkThread, AutoCloseable {
    private final int index;
    private final Kernels kernels;
    private final Queue queue;
    private final CallsInFlight calls;

    /** Keeps the calls of this worker; null: nobody asked. */
    private final @Nullable CallLog log;

    private long unetNanos;
    private long kernelNanos;
    private long exchangeNanos;
    private long waitNanos;

    /** When the wait began that is counted next, and what the flight recorder gets of it. */
    private long waitStart;

    private Flight.@Nullable Wait wait;

    /** When the span of kernels began that is counted next. */
    private long spanStart;

    /** Views that went through the denoiser in {@link #unetNanos}. */
    private long views;

    private final DeviceLane lane;
    private final Memory memory;
    private final Memory staging;
    private final Memory host;
    private final WorkerHook hook;
    private final List<MemorySegment> owned = new ArrayList<>();
    private final List<AutoCloseable> bound = new ArrayList<>();
    private final List<CudaEvent> events = new ArrayList<>();
    private final Runnable spoil = this::spoil;
    private final InterruptibleRuns network = new InterruptibleRuns();
    private long published;

    /** The last publication of each worker that this one's work comes after. */
    private final long[] awaited;

    /** The last own publication that what {@link #readBehind} reads comes after. */
    private long awaitedBySide;

    /**
     * @param workers how many there are
     * @param log of this worker's calls; null: none is kept
     */
    public Worker(int index, int workers, DeviceLane lane, WorkerHook hook, @Nullable CallLog log) {
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

    /** Number of this worker among those of the request. */
    public int index() {
        return index;
    }

    /** What it works with, request after request. */
    public DeviceLane lane() {
        return lane;
    }

    /** Kernels on {@link #queue}. */
    public Kernels kernels() {
        return kernels;
    }

    /** The device's queue, to which the worker's thread alone adds. */
    public Queue queue() {
        return queue;
    }

    public CallsInFlight calls() {
        return calls;
    }

    /** Keeps the calls of this worker; null: nobody asked. */
    public @Nullable CallLog log() {
        return log;
    }

    /** Time in the denoiser, ns. */
    public long unetNanos() {
        return unetNanos;
    }

    /** Time in kernels between network calls, ns. */
    public long kernelNanos() {
        return kernelNanos;
    }

    /** Time in the exchange of pixels between patches, ns. */
    public long exchangeNanos() {
        return exchangeNanos;
    }

    /** Time in which the worker's thread had nothing to do, ns. */
    public long waitNanos() {
        return waitNanos;
    }

    /** Views that went through the denoiser in {@link #unetNanos}. */
    public long views() {
        return views;
    }

    /** Begins a time in which the worker's thread has nothing to do. */
    public void beginWait() {
        waitStart = System.nanoTime();
        wait = Flight.waiting(name());
    }

    /** Ends it. */
    public void endWait() {
        waitNanos += System.nanoTime() - waitStart;
        Flight.commit(wait);
        wait = null;
    }

    /** Counts a network's run that took so long on the device. */
    void countUnet(long nanos) {
        unetNanos += nanos;
        lane.busyNanos().addAndGet(nanos);
    }

    /** Counts kernels that took so long on the device. */
    void countKernelTime(long nanos) {
        kernelNanos += nanos;
        lane.busyNanos().addAndGet(nanos);
    }

    public String name() {
        return lane.name();
    }

    /** Whether it works on host memory, which it then shares with all others. */
    public boolean onHost() {
        return !(queue instanceof CudaStream);
    }

    /** Returns the stream of a worker on a GPU. */
    public CudaStream stream() {
        return (CudaStream) queue;
    }

    /** Makes an event, which lives as long as the worker; on a GPU only. */
    public CudaEvent newEvent() {
        CudaEvent event = stream().device().newEvent();
        events.add(event);
        return event;
    }

    /** Number of the next publication of this worker ({@link DeviceTensor}). */
    public long nextSequence() {
        return ++published;
    }

    /**
     * Later work comes after what {@code writer} had enqueued at its publication {@code sequence},
     * which {@code event} recorded; nothing is enqueued if it does already.
     */
    public void await(Worker writer, long sequence, CudaEvent event) {
        if (awaited[writer.index()] < sequence) {
            awaited[writer.index()] = sequence;
            stream().await(event);
        }
    }

    /** Float32 [count] of this worker's own device memory. */
    public MemorySegment floats(long count, String label) {
        MemorySegment segment = memory.floats(count, name() + " " + label);
        owned.add(segment);
        return segment;
    }

    /** Allocates in this worker's own device memory. */
    public MemorySegment bytes(long bytes, String label) {
        return memory.allocate(bytes, name() + " " + label);
    }

    /** What {@link Queue#upload} takes; the device memory itself where that is the host's. */
    public MemorySegment staging(long bytes, String label) {
        return staging.allocate(bytes, name() + " " + label);
    }

    @Override
    public MemorySegment hostFloats(long count, String label) {
        MemorySegment segment = host.floats(count, name() + " " + label);
        owned.add(segment);
        return segment;
    }

    /** A resize with its tables and working memory on this device. */
    public Resize resize(int planes, ResampleAxis y, ResampleAxis x) {
        return onHost()
                ? new Resize(memory, planes, y, x)
                : new Resize(memory, planes, y.movedTo(queue, memory), x.movedTo(queue, memory));
    }

    /** A tensor in host memory, for the worker's thread to look at; waits for it. */
    public MemorySegment look(SharedTensor tensor) {
        tensor.acquireAll(this);
        MemorySegment own = tensor.on(this);
        if (onHost()) {
            return own;
        }
        MemorySegment seen = host.allocate(own.byteSize(), name() + " look");
        queue.read(seen, own);
        return seen;
    }

    /** Closes {@code resource} with the worker, before its memory is freed. */
    public <T extends AutoCloseable> T own(T resource) {
        bound.add(resource);
        return resource;
    }

    /** Calls the hook of tests, if there is one. */
    public void beforeStep(String stage, int unit, boolean joins, int step) {
        if (hook.enabled()) {
            hook.before(new WorkerHook.Point(index, stage, unit, joins, step, spoil));
        }
    }

    /** Begins a span of kernels. */
    public void beginKernels() {
        spanStart = clock();
    }

    /** Ends the span, which counts as kernels, and begins the next one. */
    public void endKernels() {
        kernelNanos += span();
    }

    /** Ends the span, which counts as the exchange of pixels, and begins the next one. */
    public void endExchange() {
        exchangeNanos += span();
    }

    private long span() {
        long now = clock();
        long nanos = now - spanStart;
        spanStart = now;
        lane.busyNanos().addAndGet(nanos);
        return nanos;
    }

    /** Now, where the calling thread does the work; on a GPU the {@link #calls} are timed there. */
    private long clock() {
        return onHost() ? System.nanoTime() : 0;
    }

    /** Begins a call of the denoiser, whose time is counted until {@link #endNetworks}. */
    public void beginNetworks() {
        calls.networkBegins();
    }

    /** Ends a call of the denoiser. */
    public void endNetworks() {
        calls.networkEnds();
    }

    /** Counts views that went through the denoiser and are looked at. */
    public void countViews(int viewsInIt) {
        views += viewsInIt;
    }

    @Override
    public void run(Binding binding) {
        network.run(binding);
    }

    /** Ends a running call at its next node; no other one is begun. */
    public void terminate() {
        network.terminate();
    }

    /**
     * Copies from the worker's memory to host memory once its publication {@code sequence}, which
     * {@code event} recorded, is there; for the thread of the request.
     */
    public void readBehind(long sequence, CudaEvent event, MemorySegment to, MemorySegment from) {
        CudaStream side = (CudaStream) lane.side();
        side.enter();
        if (awaitedBySide < sequence) {
            awaitedBySide = sequence;
            side.await(event);
        }
        side.read(to, from);
    }

    public long bytes() {
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
    public void settle() {
        queue.enter();
        queue.synchronize();
    }

    /** Frees all of it, whatever fails; once all workers of the request are settled. */
    @Override
    public void close() {
        List<Runnable> parts = new ArrayList<>();
        parts.add(queue::enter);
        bound.reversed().forEach(resource -> parts.add(() -> close(resource)));
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
        bound.clear();
        events.clear();
        if (failure != null) {
            throw failure;
        }
    }

    private static void close(AutoCloseable resource) {
        try {
            resource.close();
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new AssertionError("close of ours throws no checked exception", e);
        }
    }
}
