// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;

class KeyIndexTest {
    private static String key(int i) {
        return Sha256.of(Integer.toString(i).getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void findsTheFirstOfEachKeyAsItGrows() {
        KeyIndex index = new KeyIndex();
        for (int i = 0; i < 5000; i++) {
            assertEquals(KeyIndex.NONE, index.get(key(i)));
            index.put(key(i), 3L * i);
            index.put(key(i), 1);
        }
        for (int i = 0; i < 5000; i++) {
            assertEquals(3L * i, index.get(key(i)));
        }
        assertEquals(KeyIndex.NONE, index.get(key(5000)));
    }

    @Test
    void keysWithTheSameLowBitsHavePlacesOfTheirOwn() {
        KeyIndex index = new KeyIndex();
        for (int i = 0; i < 16; i++) {
            index.put(Integer.toHexString(i) + "0".repeat(63), i);
        }
        for (int i = 0; i < 16; i++) {
            assertEquals(i, index.get(Integer.toHexString(i) + "0".repeat(63)));
        }
    }
}
