// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/** Reads the fields of a protobuf message, which has been checked to be whole, one after the other. */
final class ProtobufReader {
    private static final MemorySegment EMPTY = MemorySegment.ofArray(new byte[0]);

    private final MemorySegment message;
    private long at;

    /** Number of the field. */
    int field;

    /** With its tag. */
    MemorySegment whole = MemorySegment.NULL;

    /** Null: it is a number. */
    @Nullable MemorySegment content;

    /** Of a field that is a whole number. */
    long number;

    ProtobufReader(MemorySegment message) {
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

    /** The fields of the message that this field is; none where it is another field. */
    ProtobufReader within(int wanted) {
        return new ProtobufReader(field == wanted && content != null ? content : EMPTY);
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
