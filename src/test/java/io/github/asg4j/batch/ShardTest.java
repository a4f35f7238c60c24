// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardTest {
    @Test
    void everyPictureIsInOneShardAndTheyAreCounted() {
        for (int count = 1; count <= 5; count++) {
            for (int rows = 0; rows <= 7; rows++) {
                for (int variants = 1; variants <= 6; variants++) {
                    int[] pictures = new int[count];
                    for (int row = 0; row < rows; row++) {
                        for (int variant = 0; variant < variants; variant++) {
                            int having = 0;
                            for (int i = 0; i < count; i++) {
                                if (new Shard(i, count).has(row, variant)) {
                                    pictures[i]++;
                                    having++;
                                }
                            }
                            assertEquals(1, having);
                        }
                    }
                    for (int i = 0; i < count; i++) {
                        assertEquals(pictures[i], new Shard(i, count).pictures(rows, variants));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "1", "a/b", "-1/2", "1/2/3", "1/9999999999"})
    void otherTextsAreNone(String text) {
        assertTrue(
                assertThrows(BadRequestException.class, () -> Shard.parse(text))
                        .getMessage()
                        .contains("as in 0/4"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"4/4", "0/0"})
    void shardsAreCountedFromZero(String text) {
        assertTrue(
                assertThrows(BadRequestException.class, () -> Shard.parse(text))
                        .getMessage()
                        .contains("counted from 0"));
    }

    @Test
    void readsWhatItWrites() {
        assertEquals(new Shard(3, 16), Shard.parse(" 3/16 "));
        assertEquals("3/16", new Shard(3, 16).toString());
        assertEquals("shard-0003-of-0016", new Shard(3, 16).folder());
    }
}
