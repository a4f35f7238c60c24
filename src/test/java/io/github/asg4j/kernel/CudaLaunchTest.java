// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.github.asg4j.device.CheckedCuda;
import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.DeviceBuffer;
import io.github.asg4j.ffi.EmulatedCuda;
import io.github.asg4j.ffi.EmulatedCuda.Machine;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What {@link CudaKernels} tells the driver: which bytes a launch touches, and at what cost. */
@Tag("optimised")
class CudaLaunchTest {
    private static final com.sun.management.ThreadMXBean THREADS =
            (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

    /**
     * Each range is the whole of one tensor, for every case: 16 bytes more or less would show. The
     * contract's tests show that kernels touch nothing else.
     */
    @Test
    void rangesAreTheTensors() {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        try (CudaDevice device = CudaDevice.open(api, 0);
                CudaStream stream = device.newStream();
                CudaKernels kernels = new CudaKernels(stream, EmulatedKernels.program(device))) {
            for (KernelCase c : Cases.all()) {
                Map<String, DeviceBuffer> tensors = new HashMap<>();
                KernelCase.Buffers buffers =
                        c.allocate(
                                (name, bytes) -> {
                                    DeviceBuffer tensor = device.allocate(bytes, name);
                                    tensors.put(name, tensor);
                                    return tensor.segment();
                                });
                int before = api.launches().size();
                c.run(kernels, buffers);
                List<CheckedCuda.Launch> launches = api.launches();
                assertTrue(launches.size() > before, c::toString);
                for (CheckedCuda.Launch launch : launches.subList(before, launches.size())) {
                    for (CheckedCuda.Range range : launch.ranges()) {
                        assertTrue(
                                range.bytes() == Long.BYTES
                                        || buffers.segments().values().stream()
                                                .anyMatch(
                                                        tensor ->
                                                                c.touchesPartly()
                                                                        ? holds(tensor, range)
                                                                        : is(tensor, range)),
                                () -> c + ": " + launch + " has a range that is no tensor");
                    }
                }
                stream.synchronize();
                tensors.values().forEach(DeviceBuffer::close);
            }
        }
        assertEquals(0, EmulatedCuda.left());
    }

    private static boolean is(MemorySegment tensor, CheckedCuda.Range range) {
        return tensor.address() == range.address() && tensor.byteSize() == range.bytes();
    }

    private static boolean holds(MemorySegment tensor, CheckedCuda.Range range) {
        return tensor.address() <= range.address()
                && range.address() + range.bytes() <= tensor.address() + tensor.byteSize();
    }

    /** Outputs are declared as written, to the byte; inputs are not. */
    @Test
    void outputsAreWritten() {
        CheckedCuda api = new CheckedCuda(EmulatedCuda.open(Machine.USUAL));
        try (CudaDevice device = CudaDevice.open(api, 0);
                CudaStream stream = device.newStream();
                CudaKernels kernels = new CudaKernels(stream, EmulatedKernels.program(device))) {
            for (KernelCase c : Cases.all()) {
                List<DeviceBuffer> tensors = new ArrayList<>();
                KernelCase.Buffers before =
                        c.allocate(
                                (name, bytes) -> {
                                    tensors.add(device.allocate(bytes, name));
                                    return tensors.getLast().segment();
                                });
                Map<String, MemorySegment> contents = new HashMap<>();
                for (String name : c.names()) {
                    contents.put(name, MemorySegment.ofArray(before.get(name).toArray(JAVA_BYTE)));
                }
                int first = api.launches().size();
                c.run(kernels, before);
                List<CheckedCuda.Range> ranges =
                        api.launches().stream()
                                .skip(first)
                                .flatMap(launch -> launch.ranges().stream())
                                .toList();
                for (String name : c.names()) {
                    MemorySegment tensor = before.get(name);
                    MemorySegment old = contents.get(name);
                    for (long at = 0; at < tensor.byteSize(); at++) {
                        long address = tensor.address() + at;
                        assertTrue(
                                tensor.get(JAVA_BYTE, at) == old.get(JAVA_BYTE, at)
                                        || ranges.stream().anyMatch(r -> writes(r, address)),
                                () -> c + " changed " + name + " without saying so");
                    }
                }
                stream.synchronize();
                tensors.forEach(DeviceBuffer::close);
            }
        }
    }

    private static boolean writes(CheckedCuda.Range range, long address) {
        return range.written()
                && range.address() <= address
                && address < range.address() + range.bytes();
    }

    /** The loop of a service stays silent: a launch makes no garbage once it is compiled. */
    @Test
    void launchesAllocateNothing() {
        CudaDevice device = CudaDevice.open(EmulatedCuda.open(Machine.USUAL), 0);
        try (CudaStream stream = device.newStream();
                CudaKernels kernels = new CudaKernels(stream, EmulatedKernels.program(device));
                DeviceBuffer a = device.allocate(64, "a")) {
            MemorySegment tensor = a.segment();
            long least = Long.MAX_VALUE;
            for (int round = 0; round < 40 && least > 0; round++) {
                long start = THREADS.getCurrentThreadAllocatedBytes();
                for (int i = 0; i < 2000; i++) {
                    kernels.scaleShift(tensor, tensor, 16, 1, 0);
                }
                least = Math.min(least, THREADS.getCurrentThreadAllocatedBytes() - start);
            }
            assertEquals(0, least, "bytes in 2000 launches");
        }
        device.close();
    }
}
