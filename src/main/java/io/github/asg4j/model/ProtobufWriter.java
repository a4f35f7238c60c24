// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/** Writes a protobuf message. */
final class ProtobufWriter {
    /** Wire type of what has a length. */
    static final int LENGTH = 2;

    final ByteArrayOutputStream out = new ByteArrayOutputStream();

    ProtobufWriter number(int field, long value) {
        return tag(field, 0).varint(value);
    }

    ProtobufWriter text(int field, String text) {
        return bytes(field, text.getBytes(StandardCharsets.UTF_8));
    }

    ProtobufWriter message(int field, ProtobufWriter message) {
        return bytes(field, message.out.toByteArray());
    }

    private ProtobufWriter bytes(int field, byte[] bytes) {
        tag(field, LENGTH).varint(bytes.length);
        out.writeBytes(bytes);
        return this;
    }

    ProtobufWriter tag(int field, int type) {
        return varint(((long) field << 3) | type);
    }

    ProtobufWriter varint(long value) {
        long rest = value;
        while ((rest & ~0x7FL) != 0) {
            out.write((int) ((rest & 0x7F) | 0x80));
            rest >>>= 7;
        }
        out.write((int) rest);
        return this;
    }
}
