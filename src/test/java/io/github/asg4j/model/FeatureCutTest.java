// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.ModelParts;
import io.github.asg4j.Tiny;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Binding;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** UNets cut at their features: what the shallow part makes of them is what the whole network gives. */
class FeatureCutTest {
    private static final double CLOSE = 1e-5;
    private static final int ROWS = 2;

    private final Memory memory = new Memory("test");

    @AfterEach
    void free() {
        memory.close();
    }

    private static LoadedModel open(String bundle) {
        return LoadedModel.open(
                Bundle.open(
                        bundle.equals("demo") ? null : Tiny.resource(bundle),
                        ModelParts.NONE,
                        false),
                1);
    }

    private MemorySegment random(Random random, long count, double scale) {
        MemorySegment out = memory.floats(count, "values");
        for (long i = 0; i < count; i++) {
            out.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (scale * random.nextGaussian()));
        }
        return out;
    }

    private Map<InputRole, MemorySegment> inputs(LoadedModel model, int h, int w, Random random) {
        Denoiser denoiser = model.denoiser();
        int tokens = model.textEncoder().length(1);
        Map<InputRole, MemorySegment> inputs = new EnumMap<>(InputRole.class);
        for (Manifest.Input input : denoiser.inputs()) {
            long each =
                    switch (input.role()) {
                        case SAMPLE -> (long) denoiser.channels() * h * w;
                        case INPAINT -> (1L + denoiser.channels()) * h * w;
                        case TEXT -> (long) tokens * model.textEncoder().hiddenWidth();
                        case TOKEN_WEIGHTS -> tokens;
                        case TIMESTEP, POOLED, PLACE, GUIDANCE -> denoiser.rowWidth(input);
                    };
            double scale = input.role() == InputRole.TIMESTEP ? 300 : 1;
            inputs.put(input.role(), random(random, ROWS * each, scale));
        }
        return inputs;
    }

    private static double distance(MemorySegment a, MemorySegment b) {
        double squares = 0;
        double size = 0;
        for (long i = 0; i < a.byteSize() / Float.BYTES; i++) {
            double value = a.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            double off = value - b.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            squares += off * off;
            size += value * value;
        }
        assertTrue(size > 0);
        return Math.sqrt(squares / size);
    }

    /** Given the features of the same input it gives the same noise; given those of another, other noise. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "demo",
                "tiny-skip",
                "families/sd15",
                "families/sd15-inpaint",
                "families/sd21",
                "families/sdxl"
            })
    void theShallowPartGivesWhatTheWholeGives(String bundle) {
        try (LoadedModel model = open(bundle)) {
            int h = 16;
            int w = 8;
            Random random = new Random(5);
            Denoiser plain = model.denoiser();
            Denoiser cut = model.cachedDenoiser(0);
            Map<InputRole, MemorySegment> inputs = inputs(model, h, w, random);
            Map<InputRole, MemorySegment> others = inputs(model, h, w, random);
            long count = (long) ROWS * plain.channels() * h * w;
            MemorySegment feature =
                    memory.floats((long) ROWS * cut.featureChannels() * h * w, "feature");
            MemorySegment asBefore = memory.floats(count, "noise");
            MemorySegment whole = memory.floats(count, "noise");
            MemorySegment rest = memory.floats(count, "noise");
            MemorySegment other = memory.floats(count, "noise");
            MemorySegment stale = memory.floats(count, "noise");
            List<MemorySegment> none = List.of();
            try (Binding first = plain.bind(ROWS, h, w, inputs, null, none, asBefore, none);
                    Binding second =
                            cut.bind(ROWS, h, w, inputs, null, none, whole, none, feature);
                    Binding third = cut.bindShallow(ROWS, h, w, inputs, feature, rest);
                    Binding fourth = plain.bind(ROWS, h, w, others, null, none, other, none);
                    Binding fifth = cut.bindShallow(ROWS, h, w, others, feature, stale)) {
                first.run();
                second.run();
                third.run();
                fourth.run();
                fifth.run();
            }
            assertTrue(distance(asBefore, whole) <= CLOSE);
            assertTrue(distance(whole, rest) <= CLOSE);
            assertTrue(distance(other, stale) > 100 * CLOSE);
            assertTrue(distance(whole, stale) > 100 * CLOSE);
        }
    }

    @Test
    void onlyAUNetCanBeCut() {
        for (String bundle : List.of("tiny", "families/sd3")) {
            try (LoadedModel model = open(bundle)) {
                String message =
                        assertThrows(BadRequestException.class, () -> model.cachedDenoiser(0))
                                .getMessage();
                assertTrue(message.contains("has no skip connection"), message);
                assertTrue(message.contains("--cache-interval"), message);
                assertEquals(0, model.denoiser().featureChannels());
            }
        }
    }
}
