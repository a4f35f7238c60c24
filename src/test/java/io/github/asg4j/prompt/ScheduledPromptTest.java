// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.LinkedHashMap;
import java.util.Map;

/** Schedules of ten steps against those that AUTOMATIC1111's web UI documents for them. */
class ScheduledPromptTest {
    /** The texts by the last step that has them. */
    private static Map<Integer, String> schedule(String prompt) {
        ScheduledPrompt parsed = ScheduledPrompt.parse(prompt);
        Map<Integer, String> schedule = new LinkedHashMap<>();
        for (int step = 1; step <= 10; step++) {
            String text = parsed.at(step, 10);
            if (step == 10 || !parsed.at(step + 1, 10).equals(text)) {
                schedule.put(step, text);
            }
        }
        return schedule;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            ignoreLeadingAndTrailingWhitespace = false,
            value = {
                "test;{10=test}",
                "a [b:3];{3=a , 10=a b}",
                "a [b: 3];{3=a , 10=a b}",
                "a [[[b]]:2];{2=a , 10=a [[b]]}",
                "[(a:2):3];{3=, 10=(a:2)}",
                "a [b : c : 1] d;{1=a b  d, 10=a  c  d}",
                "a[b:[c:d:2]:1]e;{1=abe, 2=ace, 10=ade}",
                "a [unbalanced;{10=a [unbalanced}",
                "a [b:.5] c;{5=a  c, 10=a b c}",
                "((a][:b:c [d:3];{3=((a][:b:c , 10=((a][:b:c d}",
                "[in front::0.6][behind:0.25];{2=in front, 6=in frontbehind, 10=behind}",
                "a [b::1.0];{10=a b}",
                "[a:b:20];{10=a}",
                "[a:b:-1];{10=b}",
                "[a:b:c:3];{10=[a:b:c:3]}",
                "[a|b:3];{10=[a|b:3]}",
                "\\[a:b:3\\] [a\\]:b:3];{3=\\[a:b:3\\] a\\], 10=\\[a:b:3\\] b}"
            })
    void followsItsSteps(String prompt, String expected) {
        assertEquals(expected, schedule(prompt).toString());
    }

    @Test
    void takesTurns() {
        assertEquals(
                "{1=a, 2=(b:1.1), 3=a, 4=(b:1.1), 5=a, 6=(b:1.1), 7=a, 8=(b:1.1), 9=a,"
                        + " 10=(b:1.1)}",
                schedule("[a|(b:1.1)]").toString());
        assertEquals("cat  dog", ScheduledPrompt.parse("cat [|[x|y]] dog").at(3, 10));
        assertEquals("cat y dog", ScheduledPrompt.parse("cat [|[x|y]] dog").at(4, 10));
    }

    @Test
    void depthHasAnEnd() {
        String deep = "[".repeat(20_000);
        assertEquals(deep, ScheduledPrompt.parse(deep).at(1, 1));
    }
}
