// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.ort.Binding;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * One device's part in one request: its memory, its bindings, its clock. Used by one thread; {@link
 * #terminate} by any.
 */
final class Worker implements AutoCloseable {
    final int index;
    final Kernels kernels;
    long unetNanos;
    long kernelNanos;
    long exchangeNanos;
    long waitNanos;

    private final Memory memory;
    private final WorkerHook hook;
    private final List<MemorySegment> owned = new ArrayList<>();
    private final List<CallBuffers> buffers = new ArrayList<>();
    private final Runnable spoil = this::spoil;
    private volatile @Nullable Binding running;

    Worker(int index, Kernels kernels, WorkerHook hook) {
        this.index = index;
        this.kernels = kernels;
        this.hook = hook;
        this.memory = new Memory(name(index));
    }

    String name() {
        return name(index);
    }

    /** What worker {@code index} is called in reports and messages. */
    static String name(int index) {
        return "cpu#" + index;
    }

    /** Float32 [count] of this worker's own memory. */
    MemorySegment floats(long count, String label) {
        MemorySegment segment = memory.floats(count, name() + " " + label);
        owned.add(segment);
        return segment;
    }

    /** The worker's model inputs and outputs for calls of this shape, made on first use. */
    CallBuffers buffers(Conditioning conditioning, int views, int copies, int h, int w) {
        for (CallBuffers b : buffers) {
            if (b.fits(views, copies, h, w)) {
                return b;
            }
        }
        CallBuffers b = new CallBuffers(this, conditioning, views, copies, h, w);
        buffers.add(b);
        return b;
    }

    void beforeStep(Units part, int unit, int step) {
        if (hook.enabled()) {
            hook.before(
                    new WorkerHook.Point(index, part.name(), unit, part.joins(unit), step, spoil));
        }
    }

    /** Runs the denoiser and counts its time. */
    void run(CallBuffers b) {
        long start = System.nanoTime();
        try {
            run(b.binding);
        } finally {
            unetNanos += System.nanoTime() - start;
        }
    }

    /** Runs a network so that {@link #terminate} can end it. */
    void run(Binding binding) {
        running = binding;
        try {
            binding.run();
        } finally {
            running = null;
        }
    }

    /** Ends a running call at its next node. */
    void terminate() {
        Binding binding = running;
        if (binding != null) {
            binding.terminate();
        }
    }

    long bytes() {
        return memory.bytes();
    }

    private void spoil() {
        for (MemorySegment segment : owned) {
            for (long i = 0; i < segment.byteSize() / 4; i++) {
                segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.NaN);
            }
        }
    }

    @Override
    public void close() {
        for (CallBuffers b : buffers.reversed()) {
            b.close();
        }
        buffers.clear();
        memory.close();
    }
}
