// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Reading of elements of any floating-point type, and of 32 and 64-bit integers, as float32. */
public final class Elements {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final ValueLayout.OfInt INT =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Elements() {}

    /** All elements of a tensor. */
    public static float[] of(Tensor tensor) {
        float[] values = new float[Math.toIntExact(tensor.count())];
        read(tensor, 0, values);
        return values;
    }

    /** Fills {@code into} with the elements from {@code first} on. */
    public static void read(Tensor tensor, long first, float[] into) {
        MemorySegment data = tensor.data();
        switch (tensor.type()) {
            case F32 -> MemorySegment.copy(data, FLOAT, first * Float.BYTES, into, 0, into.length);
            case F16 -> {
                for (int i = 0; i < into.length; i++) {
                    into[i] = Float.float16ToFloat(data.getAtIndex(SHORT, first + i));
                }
            }
            case BF16 -> {
                for (int i = 0; i < into.length; i++) {
                    into[i] = Float.intBitsToFloat(data.getAtIndex(SHORT, first + i) << 16);
                }
            }
            default -> {
                for (int i = 0; i < into.length; i++) {
                    into[i] = at(tensor, first + i);
                }
            }
        }
    }

    static float at(Tensor tensor, long index) {
        return at(tensor.data(), tensor.type(), index);
    }

    static float at(MemorySegment data, ElementType type, long index) {
        return switch (type) {
            case F32 -> data.getAtIndex(FLOAT, index);
            case F16 -> Float.float16ToFloat(data.getAtIndex(SHORT, index));
            case BF16 -> Float.intBitsToFloat(data.getAtIndex(SHORT, index) << 16);
            case F64 -> (float) data.getAtIndex(DOUBLE, index);
            case F8_E4M3 -> e4m3(data.get(ValueLayout.JAVA_BYTE, index));
            case F8_E5M2 ->
                    Float.float16ToFloat((short) (data.get(ValueLayout.JAVA_BYTE, index) << 8));
            case I32 -> data.getAtIndex(INT, index);
            case I64 -> data.getAtIndex(LONG, index);
            default -> throw new IllegalArgumentException(type + " cannot be read as float32");
        };
    }

    /** The "fn" form of 8 bits: no infinities, NaN where all bits but the sign are set. */
    private static float e4m3(byte bits) {
        int exponent = bits >> 3 & 0xF;
        int mantissa = bits & 7;
        float sign = bits < 0 ? -1 : 1;
        if (exponent == 15 && mantissa == 7) {
            return Float.NaN;
        }
        return exponent == 0
                ? sign * mantissa * 0x1p-9f
                : sign * (1 + mantissa / 8f) * Math.scalb(1f, exponent - 7);
    }
}
