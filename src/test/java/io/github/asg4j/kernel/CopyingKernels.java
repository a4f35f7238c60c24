// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.device.CudaDevice;
import io.github.asg4j.device.CudaStream;
import io.github.asg4j.device.DeviceBuffer;

import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

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
        try {
            for (int i = 0; i < arguments.length; i++) {
                replaced[i] =
                        switch (arguments[i]) {
                            case MemorySegment segment -> copy(segment, copies, buffers);
                            case MemorySegment[] segments ->
                                    Arrays.stream(segments)
                                            .map(s -> copy(s, copies, buffers))
                                            .toArray(MemorySegment[]::new);
                            case GuidedStep step -> copy(step, s -> copy(s, copies, buffers));
                            case WindowStep step -> copy(step, s -> copy(s, copies, buffers));
                            default -> arguments[i];
                        };
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

    /** With its tensors on the device; a row is read by the host. */
    private static GuidedStep copy(GuidedStep s, UnaryOperator<MemorySegment> copy) {
        GuidedStep step =
                new GuidedStep()
                        .begin(s.row, s.views, s.channels, s.area)
                        .latents(copy.apply(s.out), copy.apply(s.x))
                        .output(copy.apply(s.uncond), copy.apply(s.cond), s.guidanceScale)
                        .found(copy.apply(s.found))
                        .noise(copy.apply(s.noise))
                        .guidance(s.space, s.weight)
                        .guide(copy.apply(s.guide), s.guidePerView)
                        .mask(copy.apply(s.mask), s.maskPerView)
                        .history(copy(s.history, copy));
        return s.keyed ? step.key(copy.apply(s.guideOut)) : step;
    }

    private static WindowStep copy(WindowStep s, UnaryOperator<MemorySegment> copy) {
        return new WindowStep()
                .begin(s.row, s.channels, s.canvasHeight, s.canvasWidth)
                .rows(s.firstRow, s.rows)
                .canvas(copy.apply(s.out), copy.apply(s.x))
                .windows(copy.apply(s.windows), copy.apply(s.starts), s.views, s.h, s.w)
                .weights(copy.apply(s.weightY), copy.apply(s.weightX))
                .noise(copy.apply(s.noise))
                .history(copy(s.history, copy));
    }

    private static StepHistory copy(StepHistory h, UnaryOperator<MemorySegment> copy) {
        return new StepHistory(
                copy.apply(h.clean()),
                copy.apply(h.past1()),
                copy.apply(h.past2()),
                copy.apply(h.past3()));
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
