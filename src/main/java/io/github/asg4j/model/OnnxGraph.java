// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.device.Memory;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * An ONNX model whose nodes and inputs can be changed. All else, weights above all, stays where it is
 * and as it is. The bytes of several ModelProtos one after the other are one model.
 */
final class OnnxGraph {
    private static final int MODEL_GRAPH = 7;
    private static final int GRAPH_NODE = 1;
    private static final int GRAPH_INITIALIZER = 5;
    private static final int GRAPH_INPUT = 11;
    private static final int GRAPH_OUTPUT = 12;
    private static final int GRAPH_VALUE_INFO = 13;
    private static final int MODEL_OPSET = 8;
    private static final int OPSET_DOMAIN = 1;
    private static final int OPSET_VERSION = 2;
    private static final int TENSOR_NAME = 8;
    private static final int TENSOR_EXTERNAL_DATA = 13;
    private static final int NODE_INPUT = 1;
    private static final int NODE_OUTPUT = 2;
    private static final int NODE_TYPE = 4;
    private static final int NODE_ATTRIBUTE = 5;
    private static final int ATTRIBUTE_NAME = 1;
    private static final int ATTRIBUTE_INTEGER = 3;
    private static final int ATTRIBUTE_TYPE = 20;
    private static final int ATTRIBUTE_TYPE_INTEGER = 2;

    /** First byte of the field with a node's name. */
    private static final byte NAME_TAG = (3 << 3) | 2;

    /** Types of elements, as ONNX numbers them. */
    static final int FLOAT = 1;

    static final int INT32 = 6;
    static final int INT64 = 7;
    static final int HALF = 10;

    private final List<Node> nodes = new ArrayList<>();

    /** What is no node, in order: whole fields of the model, and of its graph. */
    private final List<MemorySegment> modelFields = new ArrayList<>();

    private final List<MemorySegment> graphFields = new ArrayList<>();

    /** A node. Its other fields are kept as they are. */
    record Node(
            String type, List<String> inputs, List<String> outputs, List<MemorySegment> others) {
        Node {
            inputs = List.copyOf(inputs);
            outputs = List.copyOf(outputs);
            others = List.copyOf(others);
        }

        /** A node of the standard operators without attributes. */
        static Node of(String type, List<String> inputs, String output) {
            return of(type, inputs, List.of(output), Map.of());
        }

        /** A node of the standard operators with one attribute, a whole number. */
        static Node of(
                String type, List<String> inputs, String output, String attribute, int value) {
            return of(type, inputs, List.of(output), Map.of(attribute, value));
        }

        /** A node of the standard operators with attributes that are whole numbers. */
        static Node of(
                String type,
                List<String> inputs,
                List<String> outputs,
                Map<String, Integer> attributes) {
            List<MemorySegment> others = new ArrayList<>();
            others.add(
                    MemorySegment.ofArray(
                            new ProtobufWriter().text(NODE_TYPE, type).out.toByteArray()));
            attributes.forEach(
                    (name, value) -> {
                        ProtobufWriter attribute =
                                new ProtobufWriter()
                                        .text(ATTRIBUTE_NAME, name)
                                        .number(ATTRIBUTE_INTEGER, value)
                                        .number(ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INTEGER);
                        ProtobufWriter field =
                                new ProtobufWriter().message(NODE_ATTRIBUTE, attribute);
                        others.add(MemorySegment.ofArray(field.out.toByteArray()));
                    });
            return new Node(type, inputs, outputs, others);
        }

        /** Another node that does the same; names of nodes are theirs alone. */
        Node copy(List<String> newInputs, List<String> newOutputs) {
            List<MemorySegment> unnamed = new ArrayList<>(others);
            unnamed.removeIf(field -> field.get(ValueLayout.JAVA_BYTE, 0) == NAME_TAG);
            return new Node(type, newInputs, newOutputs, unnamed);
        }

        /** The value of an attribute that is a whole number; {@code otherwise}: there is none. */
        long integer(String attribute, long otherwise) {
            for (MemorySegment other : others) {
                ProtobufReader field = new ProtobufReader(other);
                field.next();
                if (field.field == NODE_ATTRIBUTE && field.content != null) {
                    ProtobufReader parts = new ProtobufReader(field.content);
                    String name = "";
                    long value = otherwise;
                    while (parts.next()) {
                        name = parts.field == ATTRIBUTE_NAME ? parts.text() : name;
                        value = parts.field == ATTRIBUTE_INTEGER ? parts.number : value;
                    }
                    if (name.equals(attribute)) {
                        return value;
                    }
                }
            }
            return otherwise;
        }

        /** The same node with other values. */
        Node with(List<String> newInputs, List<String> newOutputs) {
            return new Node(type, newInputs, newOutputs, others);
        }
    }

    /** Reads the nodes of a model, which has been checked to be whole. */
    OnnxGraph(MemorySegment model) {
        ProtobufReader fields = new ProtobufReader(model);
        while (fields.next()) {
            if (fields.field == MODEL_GRAPH && fields.content != null) {
                addGraph(fields.content);
            } else {
                modelFields.add(fields.whole);
            }
        }
    }

    private void addGraph(MemorySegment graph) {
        ProtobufReader fields = new ProtobufReader(graph);
        while (fields.next()) {
            if (fields.field == GRAPH_NODE && fields.content != null) {
                nodes.add(node(fields.content));
            } else {
                graphFields.add(fields.whole);
            }
        }
    }

    private static Node node(MemorySegment message) {
        List<String> inputs = new ArrayList<>();
        List<String> outputs = new ArrayList<>();
        List<MemorySegment> others = new ArrayList<>();
        String type = "";
        ProtobufReader fields = new ProtobufReader(message);
        while (fields.next()) {
            switch (fields.field) {
                case NODE_INPUT -> inputs.add(fields.text());
                case NODE_OUTPUT -> outputs.add(fields.text());
                default -> {
                    type = fields.field == NODE_TYPE ? fields.text() : type;
                    others.add(fields.whole);
                }
            }
        }
        return new Node(type, inputs, outputs, others);
    }

    /** The nodes, each behind those that it reads from; may be changed. */
    List<Node> nodes() {
        return nodes;
    }

    /** The node that gives a value; null: none does. */
    @Nullable Node giving(String value) {
        return nodes.stream()
                .filter(node -> node.outputs().contains(value))
                .findFirst()
                .orElse(null);
    }

    /** Lets all nodes read {@code to} where they read {@code from}, or give it where they give that. */
    void rename(String from, String to) {
        nodes.replaceAll(
                node ->
                        node.inputs().contains(from) || node.outputs().contains(from)
                                ? node.with(
                                        renamed(node.inputs(), from, to),
                                        renamed(node.outputs(), from, to))
                                : node);
    }

    private static List<String> renamed(List<String> names, String from, String to) {
        return names.stream().map(name -> name.equals(from) ? to : name).toList();
    }

    /** Lets every node but {@code except} read {@code to} where it reads {@code from}. */
    void redirect(String from, String to, Node except) {
        nodes.replaceAll(
                node ->
                        node.equals(except) || !node.inputs().contains(from)
                                ? node
                                : node.with(renamed(node.inputs(), from, to), node.outputs()));
    }

    /**
     * An input or output of the graph.
     *
     * @param type of its elements
     * @param extents names of open ones, empty where they have none, and numbers
     */
    record Value(String name, int type, List<?> extents) {
        Value {
            extents = List.copyOf(extents);
        }

        /** A value of float32. */
        static Value floats(String name, List<?> extents) {
            return new Value(name, FLOAT, extents);
        }

        private ProtobufWriter message() {
            ProtobufWriter shape = new ProtobufWriter();
            for (Object extent : extents) {
                ProtobufWriter axis = new ProtobufWriter();
                if (extent instanceof Number fixed) {
                    axis.number(1, fixed.longValue());
                } else if (!extent.toString().isEmpty()) {
                    axis.text(2, extent.toString());
                }
                shape.message(1, axis);
            }
            ProtobufWriter tensor = new ProtobufWriter().number(1, type).message(2, shape);
            return new ProtobufWriter()
                    .text(1, name)
                    .message(2, new ProtobufWriter().message(1, tensor));
        }

        private static Value read(MemorySegment message) {
            String name = "";
            int type = 0;
            List<Object> extents = new ArrayList<>();
            ProtobufReader fields = new ProtobufReader(message);
            while (fields.next()) {
                name = fields.field == 1 ? fields.text() : name;
                for (ProtobufReader kind = fields.within(2); kind.next(); ) {
                    for (ProtobufReader tensor = kind.within(1); tensor.next(); ) {
                        type = tensor.field == 1 ? (int) tensor.number : type;
                        for (ProtobufReader shape = tensor.within(2); shape.next(); ) {
                            extents.add(extent(shape.within(1)));
                        }
                    }
                }
            }
            return new Value(name, type, extents);
        }

        private static Object extent(ProtobufReader fields) {
            Object extent = "";
            while (fields.next()) {
                extent = fields.field == 1 ? (Object) fields.number : fields.text();
            }
            return extent;
        }
    }

    /** Adds an input of float32; extents are names of open ones, and numbers. */
    void addInput(String name, List<?> extents) {
        addInput(Value.floats(name, extents));
    }

    /** Adds an input. */
    void addInput(Value input) {
        add(GRAPH_INPUT, input);
    }

    /** Adds an output, which a node gives. */
    void addOutput(Value output) {
        add(GRAPH_OUTPUT, output);
    }

    private void add(int field, Value value) {
        ProtobufWriter message = new ProtobufWriter().message(field, value.message());
        graphFields.add(MemorySegment.ofArray(message.out.toByteArray()));
    }

    /** Inputs; older files count their initializers among them. */
    List<Value> inputs() {
        return values(GRAPH_INPUT);
    }

    List<Value> outputs() {
        return values(GRAPH_OUTPUT);
    }

    private List<Value> values(int number) {
        return graphFields.stream()
                .map(field -> value(field, number))
                .filter(Objects::nonNull)
                .toList();
    }

    /** What a field of the graph holds; null: it has another number. */
    private static @Nullable Value value(MemorySegment whole, int number) {
        ProtobufReader field = new ProtobufReader(whole);
        field.next();
        return field.field == number && field.content != null ? Value.read(field.content) : null;
    }

    /** Takes an input away; nodes that read it have to read another value. */
    void removeInput(String name) {
        graphFields.removeIf(
                field -> {
                    Value input = value(field, GRAPH_INPUT);
                    return input != null && input.name().equals(name);
                });
    }

    /** Takes all outputs away; the nodes that give them stay. */
    void removeOutputs() {
        graphFields.removeIf(field -> value(field, GRAPH_OUTPUT) != null);
    }

    /**
     * Leaves only what these outputs are computed from: no other output, and no node, input or weight that
     * nothing reads any more.
     */
    void reduceTo(Collection<String> outputs) {
        List<Node> kept = leadingTo(outputs);
        Set<String> read = new HashSet<>(outputs);
        kept.forEach(node -> read.addAll(node.inputs()));
        nodes.clear();
        nodes.addAll(kept);
        graphFields.removeIf(field -> !isRead(field, read));
    }

    /** The nodes that values are computed by, in their order. */
    List<Node> leadingTo(Collection<String> values) {
        Set<String> read = new HashSet<>(values);
        List<Node> leading = new ArrayList<>();
        for (Node node : nodes.reversed()) {
            if (!Collections.disjoint(node.outputs(), read)) {
                leading.addFirst(node);
                read.addAll(node.inputs());
            }
        }
        return leading;
    }

    /** Whether one of {@code read} is what a field of the graph is about; what is said of others is not. */
    private static boolean isRead(MemorySegment whole, Set<String> read) {
        ProtobufReader field = new ProtobufReader(whole);
        field.next();
        return switch (field.field) {
            case GRAPH_INITIALIZER -> read.contains(name(field.within(GRAPH_INITIALIZER)));
            case GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO ->
                    field.content != null && read.contains(Value.read(field.content).name());
            default -> true;
        };
    }

    private static String name(ProtobufReader tensor) {
        String name = "";
        while (tensor.next()) {
            name = tensor.field == TENSOR_NAME ? tensor.text() : name;
        }
        return name;
    }

    /** Names of the weights. */
    Set<String> weights() {
        Set<String> names = new HashSet<>();
        for (MemorySegment whole : graphFields) {
            ProtobufReader field = new ProtobufReader(whole);
            field.next();
            if (field.field == GRAPH_INITIALIZER) {
                names.add(name(field.within(GRAPH_INITIALIZER)));
            }
        }
        return names;
    }

    /** Version of the standard operators. */
    int opset() {
        int standard = 0;
        for (MemorySegment whole : modelFields) {
            ProtobufReader field = new ProtobufReader(whole);
            field.next();
            String domain = "";
            int version = 0;
            for (ProtobufReader parts = field.within(MODEL_OPSET); parts.next(); ) {
                domain = parts.field == OPSET_DOMAIN ? parts.text() : domain;
                version = parts.field == OPSET_VERSION ? (int) parts.number : version;
            }
            standard = domain.isEmpty() && version > 0 ? version : standard;
        }
        return standard;
    }

    /**
     * Where the elements of a weight lie that the graph does not hold.
     *
     * @param file beside the graph's own
     * @param offset of its first byte in the file
     */
    record Place(String file, long offset, long bytes) {}

    /** Says of weights where they lie; those that are not named stay as they are. */
    void place(Map<String, Place> places) {
        graphFields.replaceAll(field -> placed(field, places));
    }

    private static MemorySegment placed(MemorySegment whole, Map<String, Place> places) {
        ProtobufReader field = new ProtobufReader(whole);
        field.next();
        if (field.field != GRAPH_INITIALIZER || field.content == null) {
            return whole;
        }
        Place place = null;
        ProtobufWriter tensor = new ProtobufWriter();
        ProtobufReader parts = new ProtobufReader(field.content);
        while (parts.next()) {
            if (parts.field == TENSOR_NAME) {
                place = places.get(parts.text());
            }
            if (parts.field != TENSOR_EXTERNAL_DATA) {
                tensor.out.writeBytes(parts.whole.toArray(ValueLayout.JAVA_BYTE));
            }
        }
        if (place == null) {
            return whole;
        }
        tensor.message(TENSOR_EXTERNAL_DATA, entry("location", place.file))
                .message(TENSOR_EXTERNAL_DATA, entry("offset", Long.toString(place.offset)))
                .message(TENSOR_EXTERNAL_DATA, entry("length", Long.toString(place.bytes)));
        ProtobufWriter placed = new ProtobufWriter().message(GRAPH_INITIALIZER, tensor);
        return MemorySegment.ofArray(placed.out.toByteArray());
    }

    private static ProtobufWriter entry(String key, String value) {
        return new ProtobufWriter().text(1, key).text(2, value);
    }

    /** The bytes of the model, in {@code memory}. */
    MemorySegment write(String name, Memory memory) {
        ProtobufWriter written = new ProtobufWriter();
        for (Node node : nodes) {
            ProtobufWriter message = new ProtobufWriter();
            node.inputs().forEach(input -> message.text(NODE_INPUT, input));
            node.outputs().forEach(output -> message.text(NODE_OUTPUT, output));
            node.others()
                    .forEach(other -> message.out.writeBytes(other.toArray(ValueLayout.JAVA_BYTE)));
            written.message(GRAPH_NODE, message);
        }
        byte[] nodeBytes = written.out.toByteArray();
        long graph = nodeBytes.length + bytes(graphFields);
        ProtobufWriter head =
                new ProtobufWriter().tag(MODEL_GRAPH, ProtobufWriter.LENGTH).varint(graph);
        List<MemorySegment> all = new ArrayList<>(modelFields);
        all.add(MemorySegment.ofArray(head.out.toByteArray()));
        all.add(MemorySegment.ofArray(nodeBytes));
        all.addAll(graphFields);
        MemorySegment model = memory.allocate(bytes(all), name);
        long at = 0;
        for (MemorySegment part : all) {
            model.asSlice(at, part.byteSize()).copyFrom(part);
            at += part.byteSize();
        }
        return model;
    }

    private static long bytes(List<MemorySegment> parts) {
        return parts.stream().mapToLong(MemorySegment::byteSize).sum();
    }
}
