// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Tiny;
import io.github.asg4j.Variation;

import org.junit.jupiter.api.Test;

/** Noise between two seeds; the values of the latents are in {@link GoldenPipelineTest}. */
class VariationTest {
    @Test
    void goesFromOneSeedToTheOther() {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            GenerationRequest.Builder request =
                    Tiny.request().method("direct").size(64, 64).steps(2).seed(7);
            String own = hash(engine, request, null);
            assertEquals(own, hash(engine, request, 0.0));
            assertNotEquals(own, hash(engine, request, 0.1));
            String other = hash(engine, request.seed(8), null);
            assertEquals(other, hash(engine, request.seed(7), 1.0));
        }
    }

    private static String hash(Engine engine, GenerationRequest.Builder request, Double strength) {
        GenerationRequest of =
                request.variation(strength == null ? Variation.NONE : new Variation(8L, strength))
                        .build();
        return Tiny.hash(engine.submit(of).join());
    }

    @Test
    void seedAndStrengthBelongTogether() {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            for (Variation half :
                    new Variation[] {new Variation(8L, null), new Variation(null, 0.5)}) {
                GenerationRequest request = Tiny.request().variation(half).build();
                BadRequestException e =
                        assertThrows(BadRequestException.class, () -> engine.plan(request));
                assertTrue(e.getMessage().contains("give both --variation-seed"), e.getMessage());
            }
        }
    }
}
