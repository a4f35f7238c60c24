// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;

/** Thrift's compact protocol, as far as Parquet's metadata need it. Fields are written in the order of their numbers. */
final class ThriftWriter {
    static final int I32 = 5;
    static final int I64 = 6;
    static final int BINARY = 8;
    static final int LIST = 9;
    static final int STRUCT = 12;

    private static final int MAX_SHORT = 15;
    private static final int CONTINUED = 0x80;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final Deque<Integer> outer = new ArrayDeque<>();
    private int last;

    void i32(int field, int value) {
        header(field, I32);
        zigzag(value);
    }

    void i64(int field, long value) {
        header(field, I64);
        zigzag(value);
    }

    void binary(int field, String text) {
        header(field, BINARY);
        element(text);
    }

    /** A list, whose elements follow; structures among them end with {@link #stop}. */
    void list(int field, int type, int size) {
        header(field, LIST);
        if (size < MAX_SHORT) {
            out.write((size << 4) | type);
        } else {
            out.write((MAX_SHORT << 4) | type);
            varint(size);
        }
        if (type == STRUCT && size > 0) {
            for (int i = 0; i < size; i++) {
                outer.push(
                        i == 0 ? last : 0); // each begins at 0; the last one's stop comes back here
            }
            last = 0;
        }
    }

    void element(int value) {
        zigzag(value);
    }

    void element(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        varint(bytes.length);
        out.writeBytes(bytes);
    }

    /** A structure, up to {@link #stop}. */
    void begin(int field) {
        header(field, STRUCT);
        outer.push(last);
        last = 0;
    }

    /** The end of a structure: of a field, an element of a list, or all. */
    void stop() {
        out.write(0);
        last = outer.isEmpty() ? 0 : outer.pop();
    }

    byte[] bytes() {
        return out.toByteArray();
    }

    private void header(int field, int type) {
        out.write(((field - last) << 4) | type);
        last = field;
    }

    private void zigzag(long value) {
        varint((value << 1) ^ (value >> (Long.SIZE - 1)));
    }

    private void varint(long value) {
        long rest = value;
        while ((rest & -CONTINUED) != 0) {
            out.write(((int) rest & (CONTINUED - 1)) | CONTINUED);
            rest >>>= 7;
        }
        out.write((int) rest);
    }
}
