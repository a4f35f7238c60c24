// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Writer of as much of protobuf's wire format as ONNX initializers and casts need. The bytes of two
 * ModelProtos one after the other are one ModelProto, whose graph has the nodes and initializers of
 * both: a graph is completed without being parsed.
 */
final class Protobuf {
    /** TensorProto.DataType. */
    static final int FLOAT = 1;

    private static final int MODEL_GRAPH = 7;
    private static final int GRAPH_NODE = 1;
    private static final int GRAPH_INITIALIZER = 5;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    /** A ModelProto with the graph's given part only. */
    static byte[] model(Protobuf graph) {
        return new Protobuf().message(MODEL_GRAPH, graph).toBytes();
    }

    /** Adds a node that casts {@code from} to the type {@code to} as {@code result}. */
    Protobuf cast(String from, String result, int to) {
        Protobuf attribute = new Protobuf().text(1, "to").number(3, to).number(20, 2);
        return message(
                GRAPH_NODE,
                new Protobuf()
                        .text(1, from)
                        .text(2, result)
                        .text(3, result + ".cast")
                        .text(4, "Cast")
                        .message(5, attribute));
    }

    /** Adds an initializer with its elements. */
    Protobuf inline(String name, int type, List<Long> shape, byte[] elements) {
        return message(GRAPH_INITIALIZER, tensor(name, type, shape).bytes(9, elements));
    }

    /**
     * Adds an initializer whose elements lie elsewhere: whoever opens the model hands them over under
     * its name.
     */
    Protobuf external(String name, int type, List<Long> shape, long length) {
        return message(
                GRAPH_INITIALIZER,
                tensor(name, type, shape)
                        .message(13, entry("location", "checkpoint"))
                        .message(13, entry("offset", "0"))
                        .message(13, entry("length", Long.toString(length)))
                        .number(14, 1));
    }

    private static Protobuf tensor(String name, int type, List<Long> shape) {
        Protobuf tensor = new Protobuf();
        shape.forEach(extent -> tensor.number(1, extent));
        return tensor.number(2, type).text(8, name);
    }

    private static Protobuf entry(String key, String value) {
        return new Protobuf().text(1, key).text(2, value);
    }

    private Protobuf number(int field, long value) {
        varint((long) field << 3);
        varint(value);
        return this;
    }

    private Protobuf text(int field, String text) {
        return bytes(field, text.getBytes(StandardCharsets.UTF_8));
    }

    private Protobuf message(int field, Protobuf message) {
        return bytes(field, message.toBytes());
    }

    private Protobuf bytes(int field, byte[] bytes) {
        varint(((long) field << 3) | 2);
        varint(bytes.length);
        out.writeBytes(bytes);
        return this;
    }

    private void varint(long value) {
        long rest = value;
        while ((rest & ~0x7FL) != 0) {
            out.write((int) ((rest & 0x7F) | 0x80));
            rest >>>= 7;
        }
        out.write((int) rest);
    }

    byte[] toBytes() {
        return out.toByteArray();
    }
}
