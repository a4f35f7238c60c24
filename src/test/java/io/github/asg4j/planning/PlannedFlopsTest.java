// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.planning;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuidanceInterval;
import io.github.asg4j.LegOptions;
import io.github.asg4j.MethodOptions;
import io.github.asg4j.ModelParts;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Tiny;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.Flops;
import io.github.asg4j.plan.Arithmetic;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Stream;

/** Operations of whole pictures of SDXL, whose template is a bundle here: a plan loads no network. */
class PlannedFlopsTest {
    private static final Path TEMPLATES = Path.of("src/main/resources/io/github/asg4j/templates");

    /** A guided evaluation of native size, in 10^12. */
    private static final double UNIT = 2 * 6.76122;

    @TempDir static Path sdxl;

    @BeforeAll
    static void copy() throws IOException {
        for (String part : List.of("sd1", "sdxl")) { // what both have is that of the second
            try (Stream<Path> files = Files.list(TEMPLATES.resolve(part))) {
                for (Path file : files.toList()) {
                    Files.copy(
                            file,
                            sdxl.resolve(file.getFileName()),
                            StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
    }

    private static PlanReport plan(Path folder, GenerationRequest request) {
        try (Bundle bundle = Bundle.open(folder, ModelParts.NONE, false)) {
            Planner planner =
                    new Planner(
                            bundle,
                            2,
                            new Arithmetic("fp32", "any", false, "fp32", Arithmetic.Holding.MAPPED),
                            new LinkedHashMap<>(),
                            Long.MAX_VALUE);
            return planner.planned(request).plan().report();
        }
    }

    private static GenerationRequest.Builder square(String method, int side) {
        return GenerationRequest.builder("a ball").method(method).size(side, side);
    }

    private static double units(GenerationRequest request) {
        return Objects.requireNonNull(plan(sdxl, request).operations()).denoiser() / 1e12 / UNIT;
    }

    /** Evaluations of native size by operations, as others computed them from the published constants. */
    @ParameterizedTest
    @CsvSource({
        "rectifiedhr, 2048, whole, 136",
        "rectifiedhr, 2048, windows, 210",
        "rectifiedhr, 4096, whole, 237",
        "rectifiedhr, 4096, windows, 299",
        "frecas, 2048, whole, 93",
        "frecas, 2048, windows, 130",
        "frecas, 4096, whole, 695",
        "frecas, 4096, windows, 810",
        "megafusion, 2048, whole, 93",
        "megafusion, 2048, windows, 130",
        "diffusehigh, 2048, whole, 168",
        "diffusehigh, 2048, windows, 245"
    })
    void relaysTakeWhatTheirPapersSay(String preset, int side, String views, double units) {
        LegOptions legs =
                LegOptions.DEFAULT
                        .withPreset(LegOptions.Preset.valueOf(preset.toUpperCase(Locale.ROOT)))
                        .withViews(LegOptions.Views.valueOf(views.toUpperCase(Locale.ROOT)));
        assertEquals(
                units,
                units(
                        square("relay", side)
                                .options(MethodOptions.RelayOptions.DEFAULT.withLegs(legs))
                                .build()),
                0.6);
    }

    /** Windows of native size, and DemoFusion's, whose dilated views are too. */
    @ParameterizedTest
    @CsvSource({"demofusion, 2048, 700", "demofusion, 4096, 5650", "multidiffusion, 2048, 450"})
    void viewsOfNativeSizeAreUnits(String method, int side, double units) {
        assertEquals(units, units(square(method, side).build()), 0.01 * units);
        assertEquals(
                plan(sdxl, square(method, side).build()).nativeEvaluations(),
                units(square(method, side).build()),
                0.001 * units);
    }

    /** By its operations a view of four times the cells is 5.31 units, by its cells 4. */
    @Test
    void directInferenceTakesMoreThanItsCells() {
        GenerationRequest request = square("direct", 2048).build();
        assertEquals(50 * 5.31, units(request), 0.1);
        assertEquals(50 * 4, plan(sdxl, request).nativeEvaluations());
    }

    /** Of 50 leading steps 37 lie in the interval. */
    @Test
    void stepsWithoutGuidanceHaveOneRow() {
        GenerationRequest request =
                square("direct", 1024).guidanceInterval(new GuidanceInterval(0.28, 5.42)).build();
        assertEquals(37 + 13 / 2.0, units(request), 0.01);
    }

    /** Every second evaluation has its outermost layers alone, 1.45 % of it at native size. */
    @Test
    void cachedCallsHaveTheirOwnShare() {
        assertEquals(
                25 + 25 * 0.01454, units(square("direct", 1024).cacheInterval(2).build()), 0.01);
    }

    /** The default relay decodes at native size, encodes and decodes at the picture's. */
    @Test
    void passesOfTheAutoencoderAreThereOnTheirOwn() throws IOException {
        Flops flops;
        try (Bundle bundle = Bundle.open(sdxl, ModelParts.NONE, false)) {
            flops = Objects.requireNonNull(bundle.manifest().flops());
        }
        PlanReport.Operations direct =
                Objects.requireNonNull(plan(sdxl, square("direct", 1024).build()).operations());
        assertEquals(flops.decoder().of(128 * 128), direct.vae(), "decoded whole");
        // 16 tiles of 64 x 64 cells, and around them 4 and 3 features, of which a cell has 4 a
        // side.
        Flops.Tiled decoder = Objects.requireNonNull(flops.tiledDecoder());
        Flops.Tiled encoder = Objects.requireNonNull(flops.tiledEncoder());
        PlanReport plan = plan(sdxl, square("relay", 2048).build());
        assertEquals(16, Objects.requireNonNull(plan.decoding()).tiles());
        double refreshed =
                flops.decoder().of(128 * 128)
                        + encoder.whole().of(256 * 256)
                        + 16 * encoder.tile().of(65.5 * 65.5);
        double decoded = decoder.whole().of(256 * 256) + 16 * decoder.tile().of(66 * 66);
        assertEquals(
                refreshed + decoded,
                Objects.requireNonNull(plan.operations()).vae(),
                1e-9 * refreshed);
        // The upsampling is done twice, and what lies around tiles.
        double anew = decoder.whole().of(256 * 256) + 16 * decoder.anew().of(66 * 66);
        double refreshedAnew =
                refreshed + 16 * (encoder.anew().of(1) - encoder.tile().of(1)) * 65.5 * 65.5;
        assertEquals(
                refreshedAnew + anew,
                Objects.requireNonNull(plan.operations()).vaeOnGpus(),
                1e-9 * refreshed);
        double whole = flops.decoder().of(256 * 256);
        assertTrue(decoded > 1.05 * whole && decoded < 1.2 * whole, decoded / whole + " times");
    }

    /** Nothing is guessed of a bundle that does not say them. */
    @Test
    void bundlesThatDoNotSayThemHaveNone() {
        assertNull(plan(Tiny.bundle(), square("asg", 128).build()).operations());
    }
}
