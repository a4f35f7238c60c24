// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

/**
 * Where the record of a key is: a hash table of 16 bytes a place, half of which are free, so that a
 * million pictures take some 32 MB. Keys count by their first 64 bits: who asks has to look whether the
 * record is that of the key.
 */
final class KeyIndex {
    /** Of a key that is not there. */
    static final long NONE = -1;

    private static final int HEX_DIGITS = 16;

    private long[] keys = new long[1 << 10];
    private long[] values = new long[1 << 10];
    private int size;

    /**
     * @param value at least 0; of two for a key the first holds
     */
    void put(String key, long value) {
        if (2 * (size + 1) > keys.length) {
            grow();
        }
        long bits = bits(key);
        int place = place(bits);
        if (values[place] == 0) {
            keys[place] = bits;
            values[place] = value + 1; // 0: free
            size++;
        }
    }

    /** The value of a key, or {@link #NONE}. */
    long get(String key) {
        return values[place(bits(key))] - 1;
    }

    private static long bits(String key) {
        return Long.parseUnsignedLong(key.substring(0, HEX_DIGITS), 16);
    }

    /** Where it is, or would be. Keys are hashes: their lowest bits are as good as any. */
    private int place(long bits) {
        int place = (int) bits & (keys.length - 1);
        while (values[place] != 0 && keys[place] != bits) {
            place = (place + 1) & (keys.length - 1);
        }
        return place;
    }

    private void grow() {
        long[] oldKeys = keys;
        long[] oldValues = values;
        keys = new long[2 * oldKeys.length];
        values = new long[2 * oldKeys.length];
        for (int i = 0; i < oldKeys.length; i++) {
            if (oldValues[i] != 0) {
                int place = place(oldKeys[i]);
                keys[place] = oldKeys[i];
                values[place] = oldValues[i];
            }
        }
    }
}
