// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.onnxruntime.ConstTensorTypeAndShapeInfo;
import org.bytedeco.onnxruntime.MemoryInfo;
import org.bytedeco.onnxruntime.OrtValue;
import org.bytedeco.onnxruntime.RunOptions;
import org.bytedeco.onnxruntime.Session;
import org.bytedeco.onnxruntime.SessionOptions;
import org.bytedeco.onnxruntime.StringVector;
import org.bytedeco.onnxruntime.TypeInfo;
import org.bytedeco.onnxruntime.global.onnxruntime;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;

/**
 * A loaded model. Any number of threads may run it at the same time, each through its own {@link
 * Binding}; they share the weights.
 *
 * <p>Each run uses {@code threads} threads: the caller and, above 1, a pool of the session, whose
 * idle threads sleep (spinning ones would take the cores from the other workers). Results depend on
 * {@code threads}, never on what else runs.
 *
 * <p>{@link #close()} is idempotent; the weights are freed when the last binding is closed too.
 */
public final class OrtSession implements AutoCloseable {
    private static final Map<Integer, String> TYPE_NAMES =
            Map.ofEntries(
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, "float32"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, "float16"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, "bfloat16"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, "float64"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, "int64"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, "int32"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, "int8"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, "uint8"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, "bool"),
                    Map.entry(onnxruntime.ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, "string"));

    private final String name;

    /** Null: there is one for each set of shapes. */
    private final @Nullable Session session;

    private final @Nullable CompiledShapes compiled;
    private final @Nullable Provider provider;
    private final SequencedMap<String, TensorInfo> inputs;
    private final SequencedMap<String, TensorInfo> outputs;
    private int openBindings;
    private boolean closed;

    /** Descriptions of the weights that runs read in place. */
    private List<OrtValue> inPlace = List.of();

    private OrtSession(
            String name,
            @Nullable Session session,
            @Nullable CompiledShapes compiled,
            @Nullable Provider provider,
            SequencedMap<String, TensorInfo> inputs,
            SequencedMap<String, TensorInfo> outputs) {
        this.name = name;
        this.session = session;
        this.compiled = compiled;
        this.provider = provider;
        this.inputs = inputs;
        this.outputs = outputs;
    }

    /** Loads a model file for the CPU. */
    public static OrtSession open(Path file, int threads) {
        return open(file, List.of(), Place.cpu(threads));
    }

    /**
     * Loads a model file. Tensors that are bound to it have to lie where the place wants them; whether
     * {@link Binding#run} waits is the place's affair too.
     *
     * <p>On the CPU ONNX Runtime keeps copies of the weights in float32 and in layouts of its own, of
     * which SDXL's UNet takes 13.7 GiB, unless the place maps them: then those that lie beside the graph stay
     * in their file, and halves are widened when a run needs them.
     *
     * @param external files that the graph's weights lie in beside it
     * @throws BadBundleException no such file, or not a model that ONNX Runtime can run
     * @throws io.github.asg4j.DeviceException the place cannot be used
     */
    public static OrtSession open(Path file, List<Path> external, Place place) {
        String name = file.toString();
        long bytes;
        long externalBytes = 0;
        try {
            bytes = Files.size(file);
            for (Path weights : external) {
                externalBytes += Files.size(weights);
            }
        } catch (IOException e) {
            throw new BadBundleException(
                    name + " cannot be read: " + e + "; the bundle is incomplete", e);
        }
        if (!Files.isRegularFile(file) || bytes == 0) {
            throw new BadBundleException(
                    name
                            + " is "
                            + (bytes == 0 ? "empty" : "no file")
                            + ": a model is expected; copy or export the bundle again");
        }
        return open(name, place, new GraphSource.Stored(file, bytes, external, externalBytes));
    }

    /** Loads a model from memory, which may be freed afterwards, for the CPU. */
    public static OrtSession open(
            MemorySegment model,
            Map<String, MemorySegment> externalData,
            String name,
            int threads) {
        return open(model, externalData, name, Place.cpu(threads));
    }

    /**
     * As {@link #open(Path, List, Place)}, from host memory, which may be freed afterwards.
     *
     * @param model bytes of the .onnx file, off-heap
     * @param externalData files that the model's tensors lie in, off-heap, by the location it names
     * @param name for messages
     * @throws BadBundleException not a model that ONNX Runtime can run
     */
    public static OrtSession open(
            MemorySegment model,
            Map<String, MemorySegment> externalData,
            String name,
            Place place) {
        if (model.byteSize() == 0) {
            throw new BadBundleException(
                    name + " is empty: a model is expected; copy or export the bundle again");
        }
        return open(name, place, new GraphSource.Loaded(model, externalData));
    }

    /**
     * As {@link #open(Path, List, Place)}, of a model in memory whose weights lie elsewhere.
     *
     * @param model bytes of the model, off-heap; may be freed afterwards
     * @param weights what the model names and does not hold; has to outlive the session. On the CPU
     *     those in place are read there by each run; others may be copied
     * @param name for messages
     * @throws BadBundleException not a model that ONNX Runtime can run
     */
    public static OrtSession open(
            MemorySegment model, List<Weight> weights, String name, Place place) {
        return open(name, place, new GraphSource.Assembled(model, weights));
    }

    private static OrtSession open(String name, Place place, GraphSource source) {
        Provider provider = place.provider();
        OrtRuntime.initialise();
        if (provider != null && provider.compiles()) {
            return compiling(name, place, provider, source);
        }
        Session session;
        List<OrtValue> inPlace = List.of();
        try (SessionOptions options = options(place)) {
            if (provider != null) {
                provider.configure(options);
            } else {
                if (place.mapsWeights()) {
                    leaveWeights(options);
                }
                inPlace = source.leaveInPlace(options, place.mapsWeights());
            }
            session = source.open(options);
        } catch (AsgException e) {
            inPlace.forEach(onnxruntime.GetApi()::ReleaseValue);
            throw e;
        } catch (RuntimeException e) {
            inPlace.forEach(onnxruntime.GetApi()::ReleaseValue);
            throw OrtRuntime.loadFailure(name, e);
        }
        try {
            OrtSession opened =
                    new OrtSession(
                            name,
                            session,
                            null,
                            provider,
                            describe(session, true),
                            describe(session, false));
            opened.inPlace = inPlace;
            return opened;
        } catch (RuntimeException e) {
            session.close();
            inPlace.forEach(onnxruntime.GetApi()::ReleaseValue);
            throw OrtRuntime.loadFailure(name, e);
        }
    }

    /** Opens the graph only to read what it takes and gives: it is compiled when shapes are known. */
    private static OrtSession compiling(
            String name, Place place, Provider provider, GraphSource source) {
        try (SessionOptions options = options(Place.cpu(1))) {
            leaveWeights(options);
            options.SetGraphOptimizationLevel(onnxruntime.ORT_DISABLE_ALL);
            try (Session session = source.open(options)) {
                var in = describe(session, true);
                var out = describe(session, false);
                var compiled = new CompiledShapes(name, source, place, provider, axes(session));
                return new OrtSession(name, null, compiled, provider, in, out);
            }
        } catch (AsgException e) {
            throw e;
        } catch (RuntimeException e) {
            throw OrtRuntime.loadFailure(name, e);
        }
    }

    /** What all sessions have in common. */
    static SessionOptions options(Place place) {
        SessionOptions options = new SessionOptions();
        options.SetIntraOpNumThreads(place.threads());
        options.SetInterOpNumThreads(1);
        options.SetExecutionMode(onnxruntime.ORT_SEQUENTIAL);
        options.SetGraphOptimizationLevel(onnxruntime.ORT_ENABLE_ALL);
        options.SetDeterministicCompute(true);
        // A pattern is one block for each shape beside the chunks of its first run: twice the
        // memory from the second run on, and no faster (benchmarks/NOTES.md).
        options.DisableMemPattern();
        options.AddConfigEntry("session.intra_op.allow_spinning", "0");
        return options;
    }

    /** Nothing is folded into weights, packed, or laid out anew. */
    private static void leaveWeights(SessionOptions options) {
        options.SetGraphOptimizationLevel(onnxruntime.ORT_ENABLE_BASIC);
        options.AddConfigEntry("session.disable_prepacking", "1");
        options.AddConfigEntry("optimization.disable_specified_optimizers", "ConstantFolding");
    }

    /** Names of the open axes of each input, empty where one is fixed or has none. */
    private static Map<String, List<String>> axes(Session session) {
        Map<String, List<String>> axes = new LinkedHashMap<>();
        int input = 0;
        for (TensorInfo info : describe(session, true).values()) {
            int rank = info.dims().size();
            List<String> names = new ArrayList<>();
            try (TypeInfo type = session.GetInputTypeInfo(input);
                    ConstTensorTypeAndShapeInfo tensor = type.GetTensorTypeAndShapeInfo();
                    PointerPointer<BytePointer> texts = new PointerPointer<>(rank)) {
                tensor.GetSymbolicDimensions(texts, rank);
                for (int axis = 0; axis < rank; axis++) {
                    names.add(texts.get(BytePointer.class, axis).getString());
                }
            }
            axes.put(info.name(), List.copyOf(names));
            input++;
        }
        return axes;
    }

    /**
     * Compiles the network for inputs of these shapes, by name, if the place wants that; else a binding
     * would do it.
     *
     * @throws io.github.asg4j.DeviceException it cannot be compiled
     */
    public void compile(List<Map<String, long[]>> shapes) {
        if (compiled != null) {
            compiled.compile(shapes);
        }
    }

    /** Describes the memory of the tensors that are bound. */
    MemoryInfo tensorMemory() {
        return provider == null ? OrtRuntime.hostMemory() : provider.memory();
    }

    /** Told before each run. */
    void enqueues(Collection<Tensor> in, Collection<Tensor> out) {
        if (provider != null) {
            provider.enqueues(in, out);
        }
    }

    /** Prepares the options of a binding's runs. */
    void configure(RunOptions options, Collection<Tensor> in) {
        if (provider != null) {
            provider.configure(options, in);
        }
    }

    /** File or resource of the model, for messages. */
    public String name() {
        return name;
    }

    /** Inputs by name, in the model's order. */
    public SequencedMap<String, TensorInfo> inputs() {
        return inputs;
    }

    /** Outputs by name, in the model's order. */
    public SequencedMap<String, TensorInfo> outputs() {
        return outputs;
    }

    /**
     * Binds memory to the model. The memory stays the caller's and has to outlive the binding.
     *
     * @param in one tensor for every input
     * @param out tensors for any of the outputs, at least one; the others are computed but dropped
     * @throws BadBundleException a name, element type, rank or fixed extent is not the model's
     */
    public Binding bind(Map<String, Tensor> in, Map<String, Tensor> out) {
        check("input", inputs, in, true);
        check("output", outputs, out, false);
        if (out.isEmpty()) {
            throw new IllegalArgumentException(name + ": no output is bound");
        }
        synchronized (this) {
            if (closed) {
                throw new IllegalStateException(name + " is closed");
            }
            openBindings++;
        }
        Session own = null;
        try {
            own = session(in);
            return new Binding(this, own, in, out);
        } catch (RuntimeException | Error e) {
            release(own);
            throw e;
        }
    }

    private Session session(Map<String, Tensor> in) {
        if (compiled == null) {
            return Objects.requireNonNull(session);
        }
        Map<String, long[]> shapes = new HashMap<>();
        in.forEach((input, tensor) -> shapes.put(input, tensor.shape()));
        return compiled.acquire(shapes);
    }

    private void check(
            String kind, Map<String, TensorInfo> declared, Map<String, Tensor> given, boolean all) {
        for (TensorInfo info : declared.values()) {
            if (all && !given.containsKey(info.name())) {
                throw new BadBundleException(
                        name
                                + " has the "
                                + kind
                                + " \""
                                + info.name()
                                + "\" "
                                + info.signature()
                                + ", which nothing is bound to: export the model again");
            }
        }
        given.forEach(
                (wanted, tensor) -> {
                    TensorInfo info = declared.get(wanted);
                    if (info == null) {
                        throw new BadBundleException(
                                name
                                        + " has no "
                                        + kind
                                        + " \""
                                        + wanted
                                        + "\", only "
                                        + declared.keySet()
                                        + ": export the model again");
                    }
                    if (!info.accepts(tensor)) {
                        throw new BadBundleException(
                                name
                                        + ": "
                                        + kind
                                        + " \""
                                        + wanted
                                        + "\" is "
                                        + info.signature()
                                        + ", but "
                                        + tensor.signature()
                                        + " is bound to it: export the model again");
                    }
                });
    }

    /**
     * Called by a binding when its native objects are gone.
     *
     * @param used the session that it ran; null: it came to none
     */
    void release(@Nullable Session used) {
        if (compiled != null && used != null) {
            compiled.release(used);
        }
        synchronized (this) {
            openBindings--;
            if (!closed || openBindings > 0) {
                return;
            }
        }
        free();
    }

    @Override
    public void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            if (openBindings > 0) {
                return;
            }
        }
        free();
    }

    private void free() {
        if (compiled != null) {
            compiled.close();
        } else if (session != null && (provider == null || provider.isAlive())) {
            session.close();
            inPlace.forEach(onnxruntime.GetApi()::ReleaseValue);
        }
    }

    private static SequencedMap<String, TensorInfo> describe(Session session, boolean input) {
        SequencedMap<String, TensorInfo> infos = new LinkedHashMap<>();
        try (StringVector names = input ? session.GetInputNames() : session.GetOutputNames()) {
            for (long i = 0; i < names.size(); i++) {
                String name;
                try (BytePointer text = names.get(i)) {
                    name = text.getString();
                }
                try (TypeInfo type =
                        input ? session.GetInputTypeInfo(i) : session.GetOutputTypeInfo(i)) {
                    infos.put(name, describe(name, type));
                }
            }
        }
        return Collections.unmodifiableSequencedMap(infos);
    }

    private static TensorInfo describe(String name, TypeInfo type) {
        if (type.GetONNXType() != onnxruntime.ONNX_TYPE_TENSOR) {
            return new TensorInfo(name, "no tensor", List.of());
        }
        try (ConstTensorTypeAndShapeInfo tensor = type.GetTensorTypeAndShapeInfo()) {
            List<Long> dims = new ArrayList<>();
            try (var shape = tensor.GetShape()) {
                for (long d = 0; d < shape.size(); d++) {
                    dims.add(shape.get(d));
                }
            }
            int code = tensor.GetElementType();
            return new TensorInfo(name, TYPE_NAMES.getOrDefault(code, "type " + code), dims);
        }
    }

    /** An FFM segment as JavaCPP sees it: an address without ownership. */
    static final class Address extends Pointer {
        Address(MemorySegment segment) {
            super((Pointer) null);
            address = segment.address();
            limit = segment.byteSize();
            capacity = segment.byteSize();
        }
    }
}
