// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import java.lang.foreign.MemorySegment;

/** Checks of buffers and extents before native code, which cannot check them, touches memory. */
public final class Sizes {
    private Sizes() {}

    /** The product of two non-negative numbers, {@link Long#MAX_VALUE} if it does not fit. */
    public static long times(long a, long b) {
        return Math.multiplyHigh(a, b) != 0 || a * b < 0 ? Long.MAX_VALUE : a * b;
    }

    /** The sum of two non-negative numbers, {@link Long#MAX_VALUE} if it does not fit. */
    public static long plus(long a, long b) {
        return a + b < 0 ? Long.MAX_VALUE : a + b;
    }

    /**
     * Checks that a tensor can be read and written.
     *
     * @throws IndexOutOfBoundsException if the segment has fewer than {@code count} float32 (or
     *     int32)
     * @throws IllegalArgumentException if it is on the heap or not aligned to 4 bytes
     */
    public static void requireFloats(
            MemorySegment segment, long count, String operation, String tensor) {
        requireElements(segment, count, 4, operation, tensor);
    }

    /** Does what {@link #requireFloats} does, for float64 aligned to 8 bytes. */
    public static void requireDoubles(
            MemorySegment segment, long count, String operation, String tensor) {
        requireElements(segment, count, 8, operation, tensor);
    }

    private static void requireElements(
            MemorySegment segment, long count, int bytes, String operation, String tensor) {
        requireBytes(segment, times(count, bytes), operation, tensor);
        if ((segment.address() & (bytes - 1)) != 0) {
            throw new IllegalArgumentException(
                    operation
                            + ": "
                            + tensor
                            + " starts at address 0x"
                            + Long.toHexString(segment.address())
                            + ", which is not a multiple of "
                            + bytes
                            + "; allocate it with that alignment");
        }
    }

    /** Does what {@link #requireFloats} does, for bytes. */
    public static void requireBytes(
            MemorySegment segment, long needed, String operation, String tensor) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException(
                    operation + ": " + tensor + " is on the heap; tensors live off-heap");
        }
        if (segment.byteSize() < needed) {
            throw new IndexOutOfBoundsException(
                    operation
                            + ": "
                            + tensor
                            + " has "
                            + segment.byteSize()
                            + " bytes, needs "
                            + (needed == Long.MAX_VALUE ? "more than 2^63" : needed)
                            + "; pass a larger buffer or smaller extents");
        }
    }

    /** Throws {@link IllegalArgumentException} if an extent is below 1. */
    public static void requireExtent(long extent, String operation, String name) {
        if (extent < 1) {
            throw new IllegalArgumentException(
                    operation + ": " + name + " is " + extent + ", has to be at least 1");
        }
    }

    /** Throws {@link IllegalArgumentException} if a value is outside {@code min..max}. */
    public static void requireRange(long value, long min, long max, String operation, String name) {
        if (value < min || value > max) {
            throw new IllegalArgumentException(
                    operation + ": " + name + " is " + value + ", has to be " + min + ".." + max);
        }
    }
}
