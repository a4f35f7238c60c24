// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions.Space;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.evaluate.Comparison.Figure;
import io.github.asg4j.evaluate.Drawing.Drawn;
import io.github.asg4j.evaluate.Drawing.Refused;

import org.junit.jupiter.api.Test;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/** What a comparison draws, in which order, and what it makes of failures. */
class GalleryTest {
    private final FakePictureEngine engine = new FakePictureEngine();
    private final FakePictureEngine.Ear ear = new FakePictureEngine.Ear();

    private static Comparison comparison(Set<Figure> figures, String... methods) {
        GenerationRequest base =
                GenerationRequest.builder("a ball").negativePrompt("a cube").seed(7).build();
        return Comparison.of(base, List.of(methods), figures);
    }

    private Gallery draw(Comparison comparison) {
        return Gallery.draw(comparison, engine, ear, image -> OptionalInt.empty());
    }

    @Test
    void methodsDifferInNothingElse() {
        Gallery gallery = draw(comparison(Set.of(), "asg", "direct"));
        Set<GenerationRequest> requests = new HashSet<>();
        for (GenerationRequest request : engine.drawn) {
            requests.add(request.toBuilder().method("direct").size(0, 0).build());
        }
        assertEquals(1, requests.size(), requests.toString());
        assertEquals(
                List.of("native size", "asg", "direct"),
                gallery.drawings().keySet().stream().map(Shot::name).toList());
        assertEquals(
                FakePictureEngine.NATIVE_WIDTH,
                assertInstanceOf(Drawn.class, gallery.get(gallery.reference())).width());
    }

    @Test
    void nothingIsDrawnTwice() {
        Comparison all = comparison(Set.of(Figure.values()), "asg", "direct");
        draw(all);
        // Native, two methods, no guidance, two spaces with two masks and four weights.
        assertEquals(1 + 2 + 1 + 2 * 2 * 4, engine.drawn.size());
        assertEquals(engine.drawn.size(), new HashSet<>(engine.drawn).size());
        assertEquals("20/20 ", ear.heard.getLast().substring(0, 6));
    }

    @Test
    void paperDefaultsGuideNoiseOnly() {
        GenerationRequest base = GenerationRequest.builder("a ball").paperDefaults(true).build();
        draw(Comparison.of(base, List.of("asg"), Set.of(Figure.ABLATION)));
        assertEquals(1 + 1 + 1 + 2, engine.drawn.size());
        assertTrue(engine.drawn.stream().allMatch(GenerationRequest::paperDefaults));
        assertTrue(engine.drawn.stream().noneMatch(r -> r.guide().space() == Space.LATENT));
    }

    @Test
    void figuresNeedAsg() {
        Gallery gallery = draw(comparison(Set.of(Figure.values()), "direct"));
        assertEquals(2, engine.drawn.size());
        assertEquals(List.of(), gallery.attention());
    }

    @Test
    void attentionIsOfAsgsOwnPicture() {
        Gallery gallery = draw(comparison(Set.of(Figure.values()), "direct", "asg"));
        assertEquals(3, gallery.attention().size());
        assertEquals(
                List.of(),
                draw(comparison(Set.of(Figure.SWEEP), "asg")).attention(),
                "not asked for");
    }

    @Test
    void nativeSizeComesFirstThenByMemory() {
        engine.bytes.putAll(Map.of("multidiffusion", 30L, "cutdiffusion", 20L, "demofusion", 10L));
        Gallery gallery =
                draw(comparison(Set.of(), "multidiffusion", "cutdiffusion", "demofusion"));
        assertEquals(
                List.of("direct", "demofusion", "cutdiffusion", "multidiffusion"),
                engine.drawn.stream().map(GenerationRequest::method).toList());
        assertEquals(
                List.of("multidiffusion", "cutdiffusion", "demofusion"),
                List.copyOf(gallery.methods().keySet()));
    }

    @Test
    void methodThatCannotBePlannedOrDrawnIsRefused() {
        engine.unplannable.put(
                "multidiffusion", new BadRequestException("no dilated_file: export again"));
        engine.failing.put("cutdiffusion", new OutOfMemoryException("needs 9 GiB"));
        engine.failing.put("demofusion", new BadBundleException("non-finite in step 3"));
        Gallery gallery =
                draw(
                        comparison(
                                Set.of(),
                                "multidiffusion",
                                "cutdiffusion",
                                "demofusion",
                                "scalecrafter"));
        assertEquals(
                new Refused("no dilated_file: export again"),
                gallery.get(gallery.comparison().method("multidiffusion")));
        assertEquals(
                new Refused("needs 9 GiB"),
                gallery.get(gallery.comparison().method("cutdiffusion")));
        assertEquals(Set.of("scalecrafter"), gallery.methods().keySet());
        assertEquals("1/4 native size", ear.heard.getFirst());
    }

    @Test
    void nothingIsDrawnIfNoMethodCanBe() {
        AsgException first = new BadRequestException("size 100x100 is no multiple of 8");
        engine.unplannable.put("multidiffusion", first);
        engine.unplannable.put("cutdiffusion", new BadRequestException("another"));
        assertSame(
                first,
                assertThrows(
                        BadRequestException.class,
                        () -> draw(comparison(Set.of(), "multidiffusion", "cutdiffusion"))));
        assertEquals(List.of(), engine.drawn);
    }

    @Test
    void aComparisonOfWhichOnlyTheNativePictureIsDrawnFails() {
        engine.failing.put("multidiffusion", new OutOfMemoryException("needs 9 GiB"));
        assertThrows(
                OutOfMemoryException.class, () -> draw(comparison(Set.of(), "multidiffusion")));
    }

    @Test
    void cancellationLossAndBugsEndTheComparison() {
        for (RuntimeException failure :
                List.of(
                        new CancelledException("cancelled"),
                        new DeviceException("all lost"),
                        new IllegalStateException("a bug"))) {
            engine.failing.put("cutdiffusion", failure);
            assertSame(
                    failure,
                    assertThrows(
                            failure.getClass(),
                            () ->
                                    draw(
                                            comparison(
                                                    Set.of(),
                                                    "multidiffusion",
                                                    "cutdiffusion",
                                                    "demofusion"))));
        }
        assertTrue(engine.drawn.stream().noneMatch(r -> r.method().equals("demofusion")));
    }

    @Test
    @SuppressWarnings("unchecked")
    void numbersSayWhatWasDrawnAndWhatWasNot() {
        engine.unplannable.put("cutdiffusion", new BadRequestException("cannot"));
        Gallery gallery =
                Gallery.draw(
                        comparison(Set.of(), "multidiffusion", "cutdiffusion"),
                        engine,
                        ear,
                        image -> image.width() > 8 ? OptionalInt.of(3) : OptionalInt.empty());
        Map<String, Object> numbers = gallery.numbers();
        assertEquals(7L, numbers.get("seed"));
        List<Map<String, Object>> pictures = (List<Map<String, Object>>) numbers.get("pictures");
        assertEquals(3, pictures.size());
        assertFalse(pictures.get(0).containsKey("objects"));
        assertEquals("multidiffusion", pictures.get(1).get("name"));
        assertEquals(3, pictures.get(1).get("objects"));
        assertEquals(10L, pictures.get(1).get("guided_evaluations"));
        assertEquals(
                Map.of("name", "cutdiffusion", "method", "cutdiffusion", "refused", "cannot"),
                pictures.get(2));
    }
}
