// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.asg4j.BadRequestException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SeedListTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "7;[7]",
                "1, 2,5..9;[1, 2, 5, 6, 7, 8, 9]",
                "-3..-1;[-3, -2, -1]",
                "18446744073709551614..18446744073709551615;[-2, -1]",
                "9223372036854775807..9223372036854775808;"
                        + "[9223372036854775807, -9223372036854775808]"
            })
    void listsAndRanges(String text, String seeds) {
        assertEquals(seeds, SeedList.parse(text).toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "1,,2", "9..5", "1..", "a", "1,1", "3,1..5", "0..10000", "1...3"})
    void refusesOthers(String text) {
        assertThrows(BadRequestException.class, () -> SeedList.parse(text));
    }

    @Test
    void refusesTooMany() {
        SeedList.requireFew(10_000);
        assertThrows(BadRequestException.class, () -> SeedList.requireFew(10_001));
    }
}
