// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The parameters of a kernel launch as cuLaunchKernel takes them: an array of pointers to values.
 * Made once, filled anew before every launch (the driver copies the values), so a launch allocates
 * nothing. Beside each tensor's address it keeps which bytes of it the kernel reads and writes, for
 * whoever checks. One thread.
 */
public final class LaunchArguments {
    /** Parameters of a launch at most. */
    public static final int MAX = 24;

    private static final long SLOT = 64; // the largest parameter is asg_step

    private final MemorySegment pointers;
    private final MemorySegment values;
    private final long[] addresses = new long[MAX];
    private final long[] bytes = new long[MAX];
    private final int[] pieces = new int[MAX];
    private final long[] pitch = new long[MAX];
    private final boolean[] read = new boolean[MAX];
    private final boolean[] written = new boolean[MAX];
    private int count;

    public LaunchArguments(Arena arena) {
        pointers = arena.allocate(ADDRESS, MAX);
        values = arena.allocate(MAX * SLOT, SLOT);
        for (int i = 0; i < MAX; i++) {
            pointers.setAtIndex(ADDRESS, i, values.asSlice(i * SLOT, SLOT));
        }
    }

    /** Forgets all parameters. */
    public LaunchArguments clear() {
        count = 0;
        return this;
    }

    /** A tensor whose first {@code size} bytes the kernel reads; NULL passes null. */
    public LaunchArguments reads(MemorySegment tensor, long size) {
        return tensor(tensor, size, true, false);
    }

    /** A tensor whose first {@code size} bytes the kernel overwrites. */
    public LaunchArguments writes(MemorySegment tensor, long size) {
        return tensor(tensor, size, false, true);
    }

    /** A tensor whose first {@code size} bytes the kernel reads and writes. */
    public LaunchArguments updates(MemorySegment tensor, long size) {
        return tensor(tensor, size, true, true);
    }

    /**
     * A tensor of which the kernel reads pieces: so many of {@code size} bytes, the first at byte {@code
     * from}, the next {@code stride} bytes after the one before; NULL passes null.
     */
    public LaunchArguments readsPieces(
            MemorySegment tensor, long from, long size, int count, long stride) {
        return tensor(tensor, from, size, count, stride, true, false);
    }

    /** A tensor of which the kernel overwrites pieces, as in {@link #readsPieces}. */
    public LaunchArguments writesPieces(
            MemorySegment tensor, long from, long size, int count, long stride) {
        return tensor(tensor, from, size, count, stride, false, true);
    }

    private LaunchArguments tensor(MemorySegment tensor, long size, boolean reads, boolean writes) {
        return tensor(tensor, 0, size, 1, 0, reads, writes);
    }

    private LaunchArguments tensor(
            MemorySegment tensor,
            long from,
            long size,
            int ofPieces,
            long stride,
            boolean reads,
            boolean writes) {
        if (!tensor.scope().isAlive()) {
            throw new IllegalStateException("the memory of parameter " + count + " is freed");
        }
        long address = tensor.address();
        addresses[count] = address + from;
        boolean oneAfterTheOther = stride == size;
        bytes[count] = address == 0 ? 0 : oneAfterTheOther ? size * ofPieces : size;
        pieces[count] = oneAfterTheOther ? 1 : ofPieces;
        pitch[count] = stride;
        read[count] = reads;
        written[count] = writes;
        values.set(JAVA_LONG, count++ * SLOT, address);
        return this;
    }

    public LaunchArguments add(int value) {
        bytes[count] = 0;
        values.set(JAVA_INT, count++ * SLOT, value);
        return this;
    }

    public LaunchArguments add(long value) {
        bytes[count] = 0;
        values.set(JAVA_LONG, count++ * SLOT, value);
        return this;
    }

    public LaunchArguments add(float value) {
        bytes[count] = 0;
        values.set(JAVA_FLOAT, count++ * SLOT, value);
        return this;
    }

    /** A struct of at most 64 bytes, by value. */
    public LaunchArguments add(MemorySegment struct, long size) {
        bytes[count] = 0;
        MemorySegment.copy(struct, 0, values, count++ * SLOT, size);
        return this;
    }

    /** How many parameters there are. */
    public int count() {
        return count;
    }

    /** The array of pointers, as cuLaunchKernel's kernelParams. */
    public MemorySegment pointers() {
        return pointers;
    }

    /** Address of the first piece that the kernel touches of a tensor that is parameter {@code i}. */
    public long address(int i) {
        return addresses[i];
    }

    /** Bytes of each piece of parameter {@code i} that the kernel touches; 0 if it is no tensor. */
    public long bytes(int i) {
        return bytes[i];
    }

    /** How many pieces of a tensor that is parameter {@code i} the kernel touches; neighbours are one. */
    public int pieces(int i) {
        return pieces[i];
    }

    /** Bytes from one piece to the next. */
    public long pitch(int i) {
        return pitch[i];
    }

    public boolean read(int i) {
        return read[i];
    }

    public boolean written(int i) {
        return written[i];
    }
}
