// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.DeviceBuffer;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.CudaDriver;
import io.github.asg4j.ffi.CudaLibraries;
import io.github.asg4j.kernel.CubinCache;
import io.github.asg4j.kernel.CudaKernels;
import io.github.asg4j.kernel.CudaProgram;
import io.github.asg4j.kernel.KernelChoice;
import io.github.asg4j.kernel.Kernels;

import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Where kernels run: their memory, and a clock of their work. */
interface Place extends AutoCloseable {
    /** Name of the GPU's kernels beside those of {@link KernelChoice#usable}. */
    String CUDA = "cuda";

    static Place open(String implementation) {
        return implementation.equals(CUDA) ? new Gpu() : new Cpu(implementation);
    }

    static boolean hasGpu() {
        return Files.exists(Path.of("/dev/nvidiactl"));
    }

    Kernels kernels();

    /** Memory of the place, with the contents of host memory. */
    MemorySegment upload(MemorySegment host);

    /** A copy within the place. */
    void copy(MemorySegment to, MemorySegment from, long bytes);

    /** Nanoseconds of {@code work}: of this thread on a CPU, which others may share; else passed. */
    long nanos(Runnable work);

    /** How many calls to clock together, so that a wait for all of them does not show. */
    int together();

    @Override
    void close();

    /** One core. */
    final class Cpu implements Place {
        private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

        private final Memory memory = new Memory("benchmark");
        private final Kernels kernels;

        Cpu(String implementation) {
            kernels = KernelChoice.choose(implementation).kernels();
        }

        @Override
        public Kernels kernels() {
            return kernels;
        }

        @Override
        public MemorySegment upload(MemorySegment host) {
            return memory.allocate(host.byteSize(), "tensor").copyFrom(host);
        }

        @Override
        public void copy(MemorySegment to, MemorySegment from, long bytes) {
            MemorySegment.copy(from, 0, to, 0, bytes);
        }

        @Override
        public long nanos(Runnable work) {
            long before = THREADS.getCurrentThreadCpuTime();
            work.run();
            return THREADS.getCurrentThreadCpuTime() - before;
        }

        @Override
        public int together() {
            return 1;
        }

        @Override
        public void close() {
            memory.close();
        }
    }

    /** The first GPU; the clock waits for it. */
    final class Gpu implements Place {
        private final CudaDevice device = CudaDevice.open(CudaDriver.open(), 0);
        private final CudaStream stream = device.newStream();
        private final CudaKernels kernels;
        private final List<DeviceBuffer> buffers = new ArrayList<>();

        Gpu() {
            CudaProgram program =
                    CudaProgram.load(device, new CudaLibraries(), CubinCache.ofUser());
            kernels = new CudaKernels(stream, program);
        }

        @Override
        public Kernels kernels() {
            return kernels;
        }

        @Override
        public MemorySegment upload(MemorySegment host) {
            DeviceBuffer buffer = device.allocate(host.byteSize(), "tensor");
            buffers.add(buffer);
            try (DeviceBuffer staging = device.allocateHost(host.byteSize(), "staging")) {
                staging.segment().copyFrom(host);
                stream.upload(buffer.segment(), staging.segment(), host.byteSize());
                stream.synchronize();
            }
            return buffer.segment();
        }

        @Override
        public void copy(MemorySegment to, MemorySegment from, long bytes) {
            stream.copy(to, from, bytes);
        }

        @Override
        public long nanos(Runnable work) {
            stream.synchronize();
            long before = System.nanoTime();
            work.run();
            stream.synchronize();
            return System.nanoTime() - before;
        }

        @Override
        public int together() {
            return 50;
        }

        @Override
        public void close() {
            kernels.close();
            buffers.forEach(DeviceBuffer::close);
            stream.close();
            device.close();
        }
    }
}
