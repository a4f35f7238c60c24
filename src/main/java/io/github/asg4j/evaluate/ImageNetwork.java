// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;
import io.github.asg4j.ort.TensorInfo;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A network from one picture {@code [B, 3, h, w]}, RGB in [0, 1], h and w fixed, to vectors {@code
 * [B, n]}. One picture a call, so that a picture's numbers do not depend on its neighbours. One
 * thread at a time.
 */
final class ImageNetwork implements AutoCloseable {
    private final OrtSession session;
    private final Memory memory;
    private final Binding binding;
    private final MemorySegment input;
    private final Map<String, MemorySegment> outputs = new LinkedHashMap<>();
    private final int width;
    private final int height;

    /**
     * @param session closed with this object
     * @param inputName name of its only input
     * @param outputNames outputs that are read
     * @throws BadBundleException if the graph is none of this kind
     */
    ImageNetwork(OrtSession session, String inputName, List<String> outputNames) {
        this.session = session;
        TensorInfo in = session.inputs().get(inputName);
        if (in == null || in.dims().size() != 4 || session.inputs().size() != 1) {
            throw fault(session, "inputs " + session.inputs().values(), inputName);
        }
        height = fixed(session, in, 2);
        width = fixed(session, in, 3);
        memory = new Memory(session.name());
        try {
            input = memory.floats((long) Picture.CHANNELS * height * width, inputName);
            Map<String, Tensor> out = new LinkedHashMap<>();
            for (String name : outputNames) {
                TensorInfo info = session.outputs().get(name);
                if (info == null || info.dims().size() != 2) {
                    throw fault(session, "outputs " + session.outputs().values(), name);
                }
                int n = fixed(session, info, 1);
                MemorySegment data = memory.floats(n, name);
                outputs.put(name, data);
                out.put(name, Tensor.floats(data, 1, n));
            }
            Tensor picture = Tensor.floats(input, 1, Picture.CHANNELS, height, width);
            binding = session.bind(Map.of(inputName, picture), out);
        } catch (RuntimeException e) {
            memory.close();
            session.close();
            throw e;
        }
    }

    private static int fixed(OrtSession session, TensorInfo info, int axis) {
        long extent = info.dims().get(axis);
        if (extent < 1 || extent > 1 << 20) {
            throw fault(session, info.signature(), "a fixed extent in axis " + axis);
        }
        return (int) extent;
    }

    private static BadBundleException fault(OrtSession session, String found, String expected) {
        return new BadBundleException(
                session.name()
                        + ": found "
                        + found
                        + ", expected "
                        + expected
                        + ": a network from float32 [B, 3, h, w] to [B, n]; export it again");
    }

    int width() {
        return width;
    }

    int height() {
        return height;
    }

    /** Numbers of an output. */
    int size(String output) {
        return (int) (find(output).byteSize() / Float.BYTES);
    }

    boolean has(String output) {
        return outputs.containsKey(output);
    }

    /** Runs it on a picture of exactly its size; {@link #result} then gives the outputs. */
    void run(Picture picture) {
        if (picture.width() != width || picture.height() != height) {
            throw new IllegalArgumentException(
                    "a picture of " + picture.width() + "x" + picture.height());
        }
        float[] planes = picture.planes();
        MemorySegment.copy(planes, 0, input, ValueLayout.JAVA_FLOAT, 0, planes.length);
        binding.run();
    }

    /** A copy of an output of the last run. */
    float[] result(String output) {
        return find(output).toArray(ValueLayout.JAVA_FLOAT);
    }

    private MemorySegment find(String output) {
        MemorySegment data = outputs.get(output);
        if (data == null) {
            throw new IllegalArgumentException(output + " is none of " + outputs.keySet());
        }
        return data;
    }

    /** Index of the largest of the scores. */
    int best(String output) {
        float[] scores = result(output);
        int best = 0;
        for (int i = 1; i < scores.length; i++) {
            best = scores[i] > scores[best] ? i : best;
        }
        return best;
    }

    /** The outputs of a graph that are there, of those wanted. */
    static List<String> present(OrtSession session, String... wanted) {
        List<String> names = new ArrayList<>();
        for (String name : wanted) {
            if (session.outputs().containsKey(name)) {
                names.add(name);
            }
        }
        return names;
    }

    @Override
    public void close() {
        binding.close();
        session.close();
        memory.close();
    }
}
