// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.device.Memory;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * An ONNX model whose nodes and inputs can be changed. All else, weights above all, stays where it is
 * and as it is. The bytes of several ModelProtos one after the other are one model.
 */
final class OnnxGraph {
    private static final int MODEL_GRAPH = 7;
    private static final int GRAPH_NODE = 1;
    private static final int GRAPH_INPUT = 11;
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

    private static final int BYTES = 2;
    private static final int FLOAT = 1;

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
            byte[] name = new Writer().text(NODE_TYPE, type).out.toByteArray();
            return new Node(type, inputs, List.of(output), List.of(MemorySegment.ofArray(name)));
        }

        /** A node of the standard operators with one attribute, a whole number. */
        static Node of(
                String type, List<String> inputs, String output, String attribute, long value) {
            Writer written =
                    new Writer()
                            .text(ATTRIBUTE_NAME, attribute)
                            .number(ATTRIBUTE_INTEGER, value)
                            .number(ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INTEGER);
            byte[] others =
                    new Writer()
                            .text(NODE_TYPE, type)
                            .message(NODE_ATTRIBUTE, written)
                            .out
                            .toByteArray();
            return new Node(type, inputs, List.of(output), List.of(MemorySegment.ofArray(others)));
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
                Reader field = new Reader(other);
                field.next();
                if (field.field == NODE_ATTRIBUTE && field.content != null) {
                    Reader parts = new Reader(field.content);
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
        Reader fields = new Reader(model);
        while (fields.next()) {
            if (fields.field == MODEL_GRAPH && fields.content != null) {
                addGraph(fields.content);
            } else {
                modelFields.add(fields.whole);
            }
        }
    }

    private void addGraph(MemorySegment graph) {
        Reader fields = new Reader(graph);
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
        Reader fields = new Reader(message);
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

    /** Lets every node but {@code except} read {@code to} where it reads {@code from}. */
    void redirect(String from, String to, Node except) {
        nodes.replaceAll(
                node ->
                        node.equals(except) || !node.inputs().contains(from)
                                ? node
                                : node.with(
                                        node.inputs().stream()
                                                .map(name -> name.equals(from) ? to : name)
                                                .toList(),
                                        node.outputs()));
    }

    /** Adds an input of float32; extents are names of open ones, and numbers. */
    void addInput(String name, List<?> extents) {
        Writer shape = new Writer();
        for (Object extent : extents) {
            shape.message(
                    1,
                    extent instanceof Number fixed
                            ? new Writer().number(1, fixed.longValue())
                            : new Writer().text(2, extent.toString()));
        }
        Writer tensor = new Writer().number(1, FLOAT).message(2, shape);
        Writer input = new Writer().text(1, name).message(2, new Writer().message(1, tensor));
        graphFields.add(
                MemorySegment.ofArray(new Writer().message(GRAPH_INPUT, input).out.toByteArray()));
    }

    /** The bytes of the model, in {@code memory}. */
    MemorySegment write(String name, Memory memory) {
        Writer written = new Writer();
        for (Node node : nodes) {
            Writer message = new Writer();
            node.inputs().forEach(input -> message.text(NODE_INPUT, input));
            node.outputs().forEach(output -> message.text(NODE_OUTPUT, output));
            node.others()
                    .forEach(other -> message.out.writeBytes(other.toArray(ValueLayout.JAVA_BYTE)));
            written.message(GRAPH_NODE, message);
        }
        byte[] nodeBytes = written.out.toByteArray();
        long graph = nodeBytes.length + bytes(graphFields);
        Writer head = new Writer().tag(MODEL_GRAPH, BYTES).varint(graph);
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

    /** The fields of a message, one after the other. */
    private static final class Reader {
        private final MemorySegment message;
        private long at;

        /** Number of the field. */
        private int field;

        /** With its tag. */
        private MemorySegment whole = MemorySegment.NULL;

        /** Null: it is a number. */
        private @Nullable MemorySegment content;

        /** Of a field that is a whole number. */
        private long number;

        Reader(MemorySegment message) {
            this.message = message;
        }

        boolean next() {
            if (at == message.byteSize()) {
                return false;
            }
            long start = at;
            long tag = varint();
            field = (int) (tag >>> 3);
            content = null;
            switch ((int) (tag & 7)) {
                case 0 -> number = varint();
                case 1 -> at += 8;
                case 5 -> at += 4;
                default -> {
                    long size = varint();
                    content = message.asSlice(at, size);
                    at += size;
                }
            }
            whole = message.asSlice(start, at - start);
            return true;
        }

        String text() {
            return content == null
                    ? ""
                    : new String(content.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
        }

        private long varint() {
            long value = 0;
            for (int shift = 0; ; shift += 7) {
                byte part = message.get(ValueLayout.JAVA_BYTE, at++);
                value |= (part & 0x7FL) << shift;
                if (part >= 0) {
                    return value;
                }
            }
        }
    }

    /** A message as it is written. */
    private static final class Writer {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();

        Writer number(int field, long value) {
            return tag(field, 0).varint(value);
        }

        Writer text(int field, String text) {
            return bytes(field, text.getBytes(StandardCharsets.UTF_8));
        }

        Writer message(int field, Writer message) {
            return bytes(field, message.out.toByteArray());
        }

        private Writer bytes(int field, byte[] bytes) {
            tag(field, BYTES).varint(bytes.length);
            out.writeBytes(bytes);
            return this;
        }

        Writer tag(int field, int type) {
            return varint(((long) field << 3) | type);
        }

        Writer varint(long value) {
            long rest = value;
            while ((rest & ~0x7FL) != 0) {
                out.write((int) ((rest & 0x7F) | 0x80));
                rest >>>= 7;
            }
            out.write((int) rest);
            return this;
        }
    }
}
