// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.plan.Arithmetic.Holding;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What "--weights" means. */
class WeightsChoiceTest {
    /** Five bytes a weight, at most half of the limit. */
    @ParameterizedTest
    @CsvSource({
        "fp32, 4000, 10000, PACKED",
        "fp32, 4004, 10000, MAPPED",
        "fp16, 2000, 10000, PACKED",
        "fp16, 2002, 10000, MAPPED",
        "bf16, 2002, 10000, MAPPED",
        "fp8, 1000, 10000, PACKED",
        "fp8, 1001, 10000, MAPPED"
    })
    void autoPacksWhatFits(String stored, long bytes, long limit, Holding expected) {
        assertEquals(expected, WeightsChoice.choose("auto", false, stored, bytes, limit).holding());
    }

    @Test
    void whatIsAskedForIsDone() {
        WeightsChoice packed = WeightsChoice.choose("packed", false, "fp16", 1L << 40, 1);
        assertEquals(new WeightsChoice(Holding.PACKED, "packed: asked for"), packed);
        WeightsChoice mapped = WeightsChoice.choose("mapped", false, "fp16", 1, 1L << 40);
        assertEquals(new WeightsChoice(Holding.MAPPED, "mapped: asked for"), mapped);
    }

    @Test
    void othersAreRefused() {
        refused("weights \"disk\" is unknown: one of auto, packed, mapped", "disk", false);
        refused("weights \"mapped\" is for CPUs", "mapped", true);
        assertEquals(Holding.DEVICE, WeightsChoice.choose("auto", true, "fp16", 1, 1).holding());
    }

    private static void refused(String text, String name, boolean onGpus) {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () -> WeightsChoice.choose(name, onGpus, "fp16", 1, 1));
        assertTrue(String.valueOf(e.getMessage()).contains(text), e.getMessage());
    }
}
