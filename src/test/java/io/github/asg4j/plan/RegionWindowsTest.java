// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Engine;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.MethodOptions.MultiDiffusionOptions;
import io.github.asg4j.Region;
import io.github.asg4j.RequestJson;
import io.github.asg4j.Tiny;
import io.github.asg4j.WindowOptions;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;
import java.util.Set;

/** Windows of regions, which regions are refused, and that a region changes its part of the picture. */
class RegionWindowsTest {
    private static GenerationRequest request(String... regions) {
        WindowOptions windows = WindowOptions.DEFAULT;
        for (String region : regions) {
            windows = windows.withRegions(List.of(Region.parse(region)));
        }
        return Tiny.request()
                .options(new MultiDiffusionOptions(windows))
                .size(128, 64)
                .steps(2)
                .build();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0,0,128,72: ball | leaves the picture of 128x64",
                "100,0,29,64: ball | leaves the picture",
                "0,0,32,32: ball | no window lies in the region",
                "32,0,32,64: ball | by more than half",
            })
    void regionsOutsideOrWithoutAWindowAreRefused(String region, String said) {
        try (Engine engine = Engine.open(Tiny.options(1))) {
            GenerationRequest request = request(region);
            BadRequestException e =
                    assertThrows(BadRequestException.class, () -> engine.plan(request));
            assertTrue(e.getMessage().contains(said), e.getMessage());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "1,2,3: ball",
                "1,2,3,4 ball",
                "a,0,1,1: ball",
                "0,0,0,1: b",
                "0,0,1,1: ",
                "-1,0,4,4: b",
                "99999999999,0,1,1: b"
            })
    void whatIsNoRegionIsRefused(String text) {
        assertThrows(BadRequestException.class, () -> Region.parse(text));
    }

    @Test
    void otherMethodsRefuseThemByName() {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () ->
                                RequestJson.read(
                                        "{\"prompt\":\"a\",\"method\":\"asg\",\"regions\":"
                                                + "[\"0,0,64,64: ball\"]}"));
        assertTrue(e.getMessage().contains("an option of multidiffusion"), e.getMessage());
    }

    /** The same prompt in a region changes nothing; another one does, and the first of equal boxes holds. */
    @Test
    void regionsChangeThePictureByTheirPrompts() {
        try (Engine engine = Engine.open(Tiny.options(2))) {
            String plain = hash(engine, request());
            String own = Tiny.request().build().prompt();
            assertEquals(plain, hash(engine, request("0,0,64,64: " + own)));
            String left = hash(engine, request("0,0,64,64: blue grass"));
            String right = hash(engine, request("64,0,64,64: blue grass"));
            assertEquals(3, Set.of(plain, left, right).size());
            assertEquals(
                    left, hash(engine, request("0,0,64,64: blue grass", "64,0,64,64: " + own)));
            GenerationRequest twice = request("0,0,64,64: blue grass", "0,0,64,64: the ball");
            BadRequestException e =
                    assertThrows(BadRequestException.class, () -> engine.plan(twice));
            assertTrue(e.getMessage().contains("where another region covers it"), e.getMessage());
        }
    }

    private static String hash(Engine engine, GenerationRequest request) {
        return Tiny.hash(engine.submit(request).join());
    }
}
