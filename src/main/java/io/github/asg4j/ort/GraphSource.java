// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.device.Memory;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;
import org.bytedeco.onnxruntime.OrtValue;
import org.bytedeco.onnxruntime.Session;
import org.bytedeco.onnxruntime.SessionOptions;
import org.bytedeco.onnxruntime.global.onnxruntime;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A graph that sessions are opened from. What it points to has to stay until the last is open. */
sealed interface GraphSource {
    /** Opens a session of it; failures are those of ONNX Runtime. */
    Session open(SessionOptions options);

    /** Bytes of the graph and of its weights. */
    long bytes();

    /** SHA-256 that tells the graph and its weights, with their names, from any others. */
    byte[] sha256();

    /**
     * Lets a session on the CPU read weights where they lie; its optimizations know them as they are when
     * it is opened.
     *
     * @param all whether also those that nobody changes
     * @return what has to be released after the session
     */
    default List<OrtValue> leaveInPlace(SessionOptions options, boolean all) {
        return List.of();
    }

    /** The same graph, with copies of what may be freed once a session is open. */
    GraphSource copy(Memory memory);

    /**
     * A model file.
     *
     * @param external files that its weights lie in beside it
     * @param externalBytes their size
     */
    record Stored(Path path, long graphBytes, List<Path> external, long externalBytes)
            implements GraphSource {
        @Override
        public Session open(SessionOptions options) {
            try (BytePointer file = new BytePointer(path.toAbsolutePath().toString())) {
                return new Session(OrtRuntime.env(), file, options);
            }
        }

        @Override
        public long bytes() {
            return graphBytes + externalBytes;
        }

        @Override
        public byte[] sha256() {
            GraphDigest digest = new GraphDigest();
            try (Arena arena = Arena.ofShared()) {
                digest.add("graph", mapped(path, arena));
                for (Path file : external) {
                    digest.add(
                            path.resolveSibling("").relativize(file).toString(),
                            mapped(file, arena));
                }
                return digest.sha256();
            } catch (IOException e) {
                throw new BadBundleException(
                        path + " cannot be read: " + e + "; the bundle is incomplete", e);
            }
        }

        private static MemorySegment mapped(Path file, Arena arena) throws IOException {
            try (FileChannel channel = FileChannel.open(file)) {
                return channel.map(MapMode.READ_ONLY, 0, channel.size(), arena);
            }
        }

        @Override
        public GraphSource copy(Memory memory) {
            return this;
        }
    }

    /**
     * A model in memory.
     *
     * @param model bytes of the .onnx file, off-heap
     * @param externalData files that its tensors lie in, off-heap, by the location that it names
     */
    record Loaded(MemorySegment model, Map<String, MemorySegment> externalData)
            implements GraphSource {
        @Override
        public Session open(SessionOptions options) {
            addExternalData(options, externalData);
            return session(model, options);
        }

        @Override
        public long bytes() {
            return model.byteSize()
                    + externalData.values().stream().mapToLong(MemorySegment::byteSize).sum();
        }

        @Override
        public byte[] sha256() {
            GraphDigest digest = new GraphDigest();
            digest.add("graph", model);
            new TreeMap<>(externalData).forEach(digest::add);
            return digest.sha256();
        }

        @Override
        public GraphSource copy(Memory memory) {
            Map<String, MemorySegment> files = new LinkedHashMap<>();
            externalData.forEach((name, data) -> files.put(name, copied(data, memory)));
            return new Loaded(copied(model, memory), files);
        }
    }

    /**
     * A model in memory whose weights lie elsewhere.
     *
     * @param weights what the model names and does not hold; have to outlive the sessions
     */
    record Assembled(MemorySegment model, List<Weight> weights) implements GraphSource {
        @Override
        public Session open(SessionOptions options) {
            addWeights(options, weights);
            return session(model, options);
        }

        @Override
        public List<OrtValue> leaveInPlace(SessionOptions options, boolean all) {
            List<OrtValue> values = new ArrayList<>();
            for (Weight weight : weights) {
                if (all || weight.inPlace()) {
                    OrtValue value = value(weight);
                    values.add(value);
                    OrtRuntime.check(
                            onnxruntime.GetApi()
                                    .AddInitializer(
                                            options.asOrtSessionOptions(), weight.name(), value));
                }
            }
            if (!values.isEmpty()) {
                // A packed copy would be read instead of the weight itself.
                options.AddConfigEntry("session.disable_prepacking", "1");
            }
            return values;
        }

        @Override
        public long bytes() {
            return model.byteSize()
                    + weights.stream().mapToLong(weight -> weight.data().byteSize()).sum();
        }

        @Override
        public byte[] sha256() {
            GraphDigest digest = new GraphDigest();
            digest.add("graph", model);
            for (Weight weight : weights) {
                digest.add(
                        weight.name() + " " + weight.type() + " " + weight.shape(), weight.data());
            }
            return digest.sha256();
        }

        @Override
        public GraphSource copy(Memory memory) {
            return new Assembled(copied(model, memory), weights);
        }
    }

    private static Session session(MemorySegment model, SessionOptions options) {
        try (Pointer bytes = new OrtSession.Address(model)) {
            return new Session(OrtRuntime.env(), bytes, model.byteSize(), options);
        }
    }

    private static MemorySegment copied(MemorySegment data, Memory memory) {
        return memory.allocate(data.byteSize(), "graph to compile").copyFrom(data);
    }

    private static void addWeights(SessionOptions options, List<Weight> weights) {
        int count = weights.size();
        if (count == 0) {
            return;
        }
        Deque<Pointer> pointers = new ArrayDeque<>();
        Deque<OrtValue> values = new ArrayDeque<>();
        try (PointerPointer<Pointer> names = new PointerPointer<>(count);
                PointerPointer<Pointer> handed = new PointerPointer<>(count)) {
            for (int i = 0; i < count; i++) {
                Weight weight = weights.get(i);
                pointers.push(new BytePointer(weight.name(), StandardCharsets.UTF_8));
                names.put(i, pointers.peek());
                values.push(value(weight));
                handed.put(i, values.peek());
            }
            OrtRuntime.check(
                    onnxruntime.GetApi()
                            .AddExternalInitializers(
                                    options.asOrtSessionOptions(), names, handed, count));
        } finally {
            // The options keep what they were given; the values only describe it.
            values.forEach(onnxruntime.GetApi()::ReleaseValue);
            pointers.forEach(Pointer::close);
        }
    }

    private static OrtValue value(Weight weight) {
        long[] shape = weight.shape().stream().mapToLong(Long::longValue).toArray();
        try (Pointer data = new OrtSession.Address(weight.data());
                LongPointer extents = new LongPointer(shape);
                PointerPointer<Pointer> out = new PointerPointer<>(1)) {
            OrtRuntime.check(
                    onnxruntime.GetApi()
                            .CreateTensorWithDataAsOrtValue(
                                    OrtRuntime.hostMemory().asOrtMemoryInfo(),
                                    data,
                                    weight.data().byteSize(),
                                    extents,
                                    shape.length,
                                    weight.type().code(),
                                    out));
            return new OrtValue(out.get());
        }
    }

    /** Through the C interface: the C++ one takes vectors of strings that JavaCPP cannot make. */
    private static void addExternalData(
            SessionOptions options, Map<String, MemorySegment> externalData) {
        int count = externalData.size();
        if (count == 0) {
            return;
        }
        Deque<Pointer> pointers = new ArrayDeque<>();
        try (PointerPointer<Pointer> names = new PointerPointer<>(count);
                PointerPointer<Pointer> buffers = new PointerPointer<>(count);
                SizeTPointer sizes = new SizeTPointer(count)) {
            int i = 0;
            for (Map.Entry<String, MemorySegment> file : externalData.entrySet()) {
                pointers.push(new BytePointer(file.getKey(), StandardCharsets.UTF_8));
                names.put(i, pointers.peek());
                pointers.push(new OrtSession.Address(file.getValue()));
                buffers.put(i, pointers.peek());
                sizes.put(i, file.getValue().byteSize());
                i++;
            }
            OrtRuntime.check(
                    onnxruntime.GetApi()
                            .AddExternalInitializersFromFilesInMemory(
                                    options.asOrtSessionOptions(), names, buffers, sizes, count));
        } finally {
            pointers.forEach(Pointer::close);
        }
    }
}
