// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.DeviceBuffer;

import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Parameter;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * {@link CudaKernels} for callers whose tensors are in host memory: every call copies all of them to
 * the device and back. So the tests of all kernels run on a GPU, whose memory the host cannot read.
 */
final class CopyingKernels implements AutoCloseable {
    private final CudaDevice device;
    private final CudaStream stream;
    private final CudaKernels kernels;

    CopyingKernels(CudaDevice device, CudaProgram program) {
        this.device = device;
        stream = device.newStream();
        kernels = new CudaKernels(stream, program);
    }

    Kernels kernels() {
        return (Kernels)
                Proxy.newProxyInstance(
                        Kernels.class.getClassLoader(),
                        new Class<?>[] {Kernels.class},
                        (proxy, method, arguments) ->
                                arguments == null ? kernels.name() : call(method, arguments));
    }

    private Object call(Method method, Object[] arguments) throws Throwable {
        device.makeCurrent();
        Map<MemorySegment, MemorySegment> copies = new LinkedHashMap<>();
        List<DeviceBuffer> buffers = new ArrayList<>();
        Object[] replaced = arguments.clone();
        Parameter[] parameters = method.getParameters();
        try {
            for (int i = 0; i < arguments.length; i++) {
                // A step is read by the host.
                if (!parameters[i].getName().equals("step")) {
                    replaced[i] =
                            switch (arguments[i]) {
                                case MemorySegment segment -> copy(segment, copies, buffers);
                                case MemorySegment[] segments ->
                                        Arrays.stream(segments)
                                                .map(s -> copy(s, copies, buffers))
                                                .toArray(MemorySegment[]::new);
                                default -> arguments[i];
                            };
                }
            }
            Object result = method.invoke(kernels, replaced);
            copies.forEach((host, copy) -> download(host, copy, buffers));
            return result;
        } catch (InvocationTargetException e) {
            throw e.getCause();
        } finally {
            stream.synchronize();
            buffers.forEach(DeviceBuffer::close);
        }
    }

    /** What the checks refuse has to reach them as it is. */
    private MemorySegment copy(
            MemorySegment segment,
            Map<MemorySegment, MemorySegment> copies,
            List<DeviceBuffer> buffers) {
        boolean tensor =
                segment.address() != 0
                        && segment.isNative()
                        && segment.scope().isAlive()
                        && segment.byteSize() > 0;
        return tensor ? copies.computeIfAbsent(segment, s -> upload(s, buffers)) : segment;
    }

    /** On the device at the same offset from a multiple of 16 bytes, and ending where it ends. */
    private MemorySegment upload(MemorySegment segment, List<DeviceBuffer> buffers) {
        long bytes = segment.byteSize();
        long offset = segment.address() % 16;
        DeviceBuffer buffer = device.allocate(offset + bytes, "tensor");
        DeviceBuffer staging = device.allocateHost(bytes, "staging");
        buffers.add(buffer);
        buffers.add(staging);
        staging.segment().copyFrom(segment);
        MemorySegment copy = buffer.segment().asSlice(offset);
        stream.upload(copy, staging.segment(), bytes);
        return copy;
    }

    private void download(MemorySegment to, MemorySegment from, List<DeviceBuffer> buffers) {
        DeviceBuffer staging = device.allocateHost(to.byteSize(), "staging");
        buffers.add(staging);
        stream.download(staging.segment(), from, to.byteSize());
        stream.synchronize();
        to.copyFrom(staging.segment());
    }

    @Override
    public void close() {
        kernels.close();
        stream.close();
    }
}
