// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;
import io.github.asg4j.ort.TensorInfo;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Peak memory of the first run of a network that gives a picture (a VAE's decoder, its front or tail,
 * an upscaler) and of three on the CPU, above what the process holds with the network loaded. One size
 * a process: ONNX Runtime keeps what it has had.
 *
 * <p>{@code NetworkMemory FILE HEIGHT WIDTH FACTOR}: cells of the graph's input, and from them to its
 * output.
 */
public final class NetworkMemory {
    private NetworkMemory() {}

    public static void main(String[] args) throws IOException {
        int h = Integer.parseInt(args[1]);
        int w = Integer.parseInt(args[2]);
        int factor = Integer.parseInt(args[3]);
        try (OrtSession session = OrtSession.open(Path.of(args[0]), 2);
                Memory memory = new Memory("network")) {
            Map<String, Tensor> in = new HashMap<>();
            session.inputs()
                    .forEach(
                            (name, info) -> {
                                long[] shape =
                                        info.dims().stream().mapToLong(d -> Math.abs(d)).toArray();
                                if (shape.length == 4) {
                                    shape = new long[] {1, shape[1], h, w};
                                } else if (shape.length == 1) {
                                    shape[0] = name.equals("core_y") ? h : w;
                                }
                                in.put(name, Tensor.floats(values(memory, shape), shape));
                            });
            TensorInfo result = session.outputs().firstEntry().getValue();
            long channels = result.dims().get(1);
            long[] out = {1, channels, (long) h * factor, (long) w * factor};
            Tensor output = Tensor.floats(values(memory, out), out);
            try (Binding binding = session.bind(in, Map.of(result.name(), output))) {
                long before = ProcessMemory.resetPeak();
                binding.run();
                long peak = ProcessMemory.bytes("VmHWM") - before;
                binding.run();
                binding.run();
                System.out.printf(
                        "%s %dx%d: %,d bytes, %.0f per output cell; %,d after three runs%n",
                        Path.of(args[0]).getFileName(),
                        w,
                        h,
                        peak,
                        (double) peak / (out[2] * out[3]),
                        ProcessMemory.bytes("VmHWM") - before);
            }
        }
    }

    private static MemorySegment values(Memory memory, long[] shape) {
        long count = 1;
        for (long extent : shape) {
            count *= extent;
        }
        MemorySegment data = memory.floats(count, "tensor");
        for (long i = 0; i < count; i++) {
            data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (i * 37 % 101) / 101f);
        }
        return data;
    }
}
