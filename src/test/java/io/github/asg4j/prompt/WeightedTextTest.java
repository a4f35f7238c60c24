// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Locale;
import java.util.stream.Collectors;

class WeightedTextTest {
    /** As in "a |b*1.1| c", sections on both sides of "//". */
    private static String shown(String prompt) {
        return WeightedText.sections(prompt).stream()
                .map(
                        section ->
                                section.stream()
                                        .map(WeightedTextTest::shown)
                                        .collect(Collectors.joining("|")))
                .collect(Collectors.joining("//"));
    }

    private static String shown(WeightedText text) {
        return text.weight() == 1
                ? text.text()
                : String.format(Locale.ROOT, "%s*%.4f", text.text(), text.weight());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            ignoreLeadingAndTrailingWhitespace = false,
            value = {
                "normal text;normal text",
                "an (important) word;an |important*1.1000| word",
                "(unbalanced;unbalanced*1.1000",
                "[low;low*0.9091",
                "\\(literal\\] \\x \\\\;(literal] x \\",
                "(unnecessary)(parens);unnecessaryparens*1.1000",
                "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).;"
                        + "a |house*1.5730| *1.1000|on| a *1.1000|hill*0.5500|, sun, *1.1000"
                        + "|sky*1.4641|.*1.1000",
                "time 3:1 (noon: 1.2 );time 3:1 |noon*1.2000",
                "(a:-0.5)(b:0);a*-0.5000|b*0.0000",
                "cat BREAK dog;cat//dog",
                "cat,BREAK;cat,//",
                "(cat BREAK dog:1.5);cat*1.5000//dog*1.5000",
                "BREAKFAST)];BREAKFAST)]"
            })
    void readsWeights(String prompt, String expected) {
        assertEquals(expected, shown(prompt));
    }

    @Test
    void refusesWhatItCannotFollow() {
        BadRequestException weight =
                assertThrows(BadRequestException.class, () -> WeightedText.sections("(a:1.2.3) b"));
        assertEquals("'1.2.3' is no weight: write a number, as in (red:1.3)", weight.getMessage());
        BadRequestException and =
                assertThrows(BadRequestException.class, () -> WeightedText.sections("cat AND dog"));
        assertTrue(and.getMessage().contains("AND composes prompts"), and.getMessage());
    }

    @Test
    void refusesFilesInPrompts() {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () -> WeightedText.sections("a ball <lora:style:0.8>"));
        assertTrue(e.getMessage().startsWith("<lora:style:0.8> is not supported here:"));
        assertEquals("a <3 ball >", shown("a <3 ball >"));
    }

    @Test
    void wordsAloneAreAText() {
        assertEquals(
                "a red ball grass",
                WeightedText.plain(WeightedText.sections("a (red:1.3) [ball] BREAK grass")));
    }
}
