// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ort.Weight;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;

/**
 * A template's graph with the weights of a checkpoint: the bytes of an ONNX model, and the weights that
 * it names but does not hold, where they lie in the mapped file. Nothing larger than a bias or a small
 * matrix is copied.
 *
 * @param model bytes of a ModelProto
 * @param weights what has to be handed over with it; valid as long as the checkpoint is open
 */
public record AssembledGraph(byte[] model, List<Weight> weights) {
    public AssembledGraph {
        weights = List.copyOf(weights);
    }

    /** Size from which elements are handed over instead of being copied into the model. */
    static final long SMALLEST_BYTES = 256;

    /**
     * Assembles a graph.
     *
     * @param template bytes of the graph without its weights
     * @param recipe what the graph's values are made of
     * @param changes weights that take the place of the checkpoint's own
     * @throws BadBundleException if the checkpoint lacks a weight, or has it in another shape
     */
    public static AssembledGraph of(
            byte[] template, Recipe recipe, Checkpoint checkpoint, ChangedWeights changes) {
        Assembly assembly = new Assembly(recipe, checkpoint, changes);
        recipe.values().forEach(assembly::add);
        byte[] casts = Protobuf.model(assembly.casts);
        byte[] weights = Protobuf.model(assembly.weights);
        // Casts first: nodes have to stand behind those that they read from.
        ByteArrayOutputStream model = new ByteArrayOutputStream();
        model.writeBytes(casts);
        model.writeBytes(template);
        model.writeBytes(weights);
        return new AssembledGraph(model.toByteArray(), assembly.handed);
    }

    /**
     * Bytes that the weights of a graph take as the checkpoint stores them.
     *
     * @throws BadBundleException if the checkpoint lacks a weight, or has it in another shape
     */
    public static long weightBytes(Recipe recipe, Checkpoint checkpoint) {
        Map<String, Long> extents = recipe.extents();
        long bytes = 0;
        for (Recipe.Value value : recipe.values()) {
            for (String weight : value.weights()) {
                if (!checkpoint.isIdentity(recipe.part(), weight)) {
                    bytes +=
                            value.count()
                                    * find(checkpoint, recipe.part(), value, weight, extents)
                                            .tensor()
                                            .type()
                                            .bytes();
                }
            }
        }
        return bytes;
    }

    /** A weight that has as many elements as a graph's values are made of. */
    private static Checkpoint.Located find(
            Checkpoint checkpoint,
            Part part,
            Recipe.Value value,
            String weight,
            Map<String, Long> extents) {
        Checkpoint.Located found = checkpoint.find(part, weight);
        if (found.elements() != extents.getOrDefault(weight, 0L)) {
            throw new BadBundleException(
                    checkpoint.path()
                            + ": \""
                            + found.tensor().name()
                            + "\" has the shape "
                            + found.tensor().shape()
                            + ", but "
                            + checkpoint.recognition().family().title()
                            + " needs "
                            + value.shape()
                            + " for "
                            + weight
                            + ": the model is of another build, which is not supported");
        }
        return found;
    }

    /** An assembly under way. */
    private static final class Assembly {
        final Protobuf casts = new Protobuf();
        final Protobuf weights = new Protobuf();
        final List<Weight> handed = new ArrayList<>();
        private final Part part;
        private final Map<String, Long> extents;
        private final Checkpoint checkpoint;
        private final ChangedWeights changes;

        Assembly(Recipe recipe, Checkpoint checkpoint, ChangedWeights changes) {
            this.part = recipe.part();
            this.extents = recipe.extents();
            this.checkpoint = checkpoint;
            this.changes = changes;
        }

        void add(Recipe.Value value) {
            if (value.weights().size() > 1) {
                weights.inline(value.name(), Protobuf.FLOAT, value.shape(), sum(value));
                return;
            }
            String weight = value.weights().getFirst();
            if (checkpoint.isIdentity(part, weight)) {
                weights.inline(value.name(), Protobuf.FLOAT, value.shape(), identity(value));
                return;
            }
            Checkpoint.Located found = find(value, weight);
            MemorySegment changed = changes.of(part, weight);
            if (changed != null) {
                boolean inPlace = changes.inPlace(part, weight);
                handOver(value, Weight.Type.FLOAT32, slice(value, changed), inPlace);
            } else if (found.change() == Source.Change.NONE) {
                asItLies(value, found);
            } else {
                declare(value, Weight.Type.FLOAT32, changed(value, found));
            }
        }

        private Checkpoint.Located find(Recipe.Value value, String weight) {
            return AssembledGraph.find(checkpoint, part, value, weight, extents);
        }

        private void asItLies(Recipe.Value value, Checkpoint.Located found) {
            Tensor tensor = found.tensor();
            int width = tensor.type().bytes();
            MemorySegment data =
                    tensor.data()
                            .asSlice(
                                    (found.firstElement() + value.at()) * width,
                                    value.count() * width);
            Weight.Type type = storedType(tensor.type());
            if (type.bytes() != width) {
                data = checkpoint.converted(data, tensor.type(), type);
            }
            handOver(value, type, data, false);
        }

        /** A value's run of a changed weight. */
        private static MemorySegment slice(Recipe.Value value, MemorySegment changed) {
            return changed.asSlice(value.at() * Float.BYTES, value.count() * Float.BYTES);
        }

        /** Leaves elements where they are, unless they are few. */
        private void handOver(
                Recipe.Value value, Weight.Type type, MemorySegment data, boolean inPlace) {
            if (data.byteSize() < SMALLEST_BYTES) {
                declare(value, type, data.toArray(ValueLayout.JAVA_BYTE));
                return;
            }
            String name = named(value, type);
            weights.external(name, type.code(), value.shape(), data.byteSize());
            handed.add(new Weight(name, type, value.shape(), data, inPlace));
        }

        /** Puts elements into the model. */
        private void declare(Recipe.Value value, Weight.Type type, byte[] elements) {
            weights.inline(named(value, type), type.code(), value.shape(), elements);
        }

        /** Name under which elements of a type are given: the graph casts them to the value. */
        private String named(Recipe.Value value, Weight.Type type) {
            if (type == Weight.Type.FLOAT32) {
                return value.name();
            }
            String given = value.name() + ".stored";
            casts.cast(given, value.name(), Protobuf.FLOAT);
            return given;
        }

        private byte[] sum(Recipe.Value value) {
            float[] sum = new float[Math.toIntExact(value.count())];
            float[] term = new float[sum.length];
            for (String weight : value.weights()) {
                Checkpoint.Located found = find(value, weight);
                MemorySegment changed = changes.of(part, weight);
                if (changed != null) {
                    term = changed.toArray(ValueLayout.JAVA_FLOAT);
                } else {
                    found.read(0, term);
                }
                for (int i = 0; i < sum.length; i++) {
                    sum[i] += term[i];
                }
            }
            return floats(sum.length, i -> sum[i]);
        }

        /** Rows and columns exchanged, or the halves of the rows; few and small tensors need it. */
        private static byte[] changed(Recipe.Value value, Checkpoint.Located found) {
            float[] elements = new float[Math.toIntExact(value.count())];
            found.read(value.at(), elements);
            return floats(elements.length, i -> elements[i]);
        }

        private static byte[] identity(Recipe.Value value) {
            int width = Math.toIntExact(value.shape().getFirst());
            return floats(width * width, i -> i % (width + 1) == 0 ? 1f : 0f);
        }

        private static byte[] floats(int count, IntFunction<Float> values) {
            byte[] bytes = new byte[Math.multiplyExact(count, Float.BYTES)];
            ByteBuffer out = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            for (int i = 0; i < count; i++) {
                out.putFloat(values.apply(i));
            }
            return bytes;
        }

        /** The type in which elements are handed over: their own, or the next wider one that ONNX has. */
        private static Weight.Type storedType(ElementType type) {
            return switch (type) {
                case F32, F64 -> Weight.Type.FLOAT32;
                case BF16 -> Weight.Type.BFLOAT16;
                case F16, F8_E4M3, F8_E5M2 -> Weight.Type.FLOAT16;
                default -> throw new IllegalArgumentException(type + " holds no weights");
            };
        }
    }
}
