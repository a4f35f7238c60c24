// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.LegOptions;
import io.github.asg4j.UsualMethod;

import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Which requests a row becomes. */
class VariantsTest {
    private static final Given PROMPT = given("prompt", "a red ball");

    private static Given given(String option, String text) {
        return Given.text(Given.option(option).orElseThrow(), text);
    }

    private static Variants variants(
            List<Given> defaults, List<Setting> settings, List<String> methods, int seeds) {
        return variants("asg", defaults, settings, methods, seeds);
    }

    private static Variants variants(
            String usual,
            List<Given> defaults,
            List<Setting> settings,
            List<String> methods,
            int seeds) {
        return new Variants(
                new UsualMethod(usual, "demo"),
                new BatchOptions(
                        Path.of("in"),
                        Path.of("out"),
                        defaults,
                        settings,
                        methods,
                        seeds,
                        Shard.ALL,
                        PictureFormat.PNG,
                        false));
    }

    private static List<GenerationRequest> requests(Variants variants, Given... row) {
        List<GenerationRequest> requests = new ArrayList<>();
        for (long i = 0; i < variants.count(); i++) {
            requests.add(variants.request(List.of(row), i));
        }
        return requests;
    }

    private static String refusal(Variants variants, Given... row) {
        return assertThrows(BadRequestException.class, () -> requests(variants, row)).getMessage();
    }

    private static Variants plain(Given... defaults) {
        return variants(List.of(defaults), List.of(Setting.NONE), List.of(), 1);
    }

    @Test
    void settingsHoldOverRowsAndRowsOverDefaults() {
        Variants variants =
                variants(
                        List.of(given("steps", "1"), given("size", "64x64"), given("eta", "0.5")),
                        List.of(new Setting("s", List.of(given("steps", "3")))),
                        List.of(),
                        1);
        GenerationRequest request =
                requests(variants, PROMPT, given("steps", "2"), given("size", "32x32")).getFirst();
        assertEquals(3, request.steps().getAsInt());
        assertEquals(32, request.width());
        assertEquals(0.5, request.eta().getAsDouble());
    }

    @Test
    void productsAreSettingsTimesMethodsTimesSeeds() {
        Variants variants =
                variants(
                        List.of(given("staleness", "0")),
                        List.of(
                                Setting.NONE,
                                new Setting("own", List.of(given("method", "superres"))),
                                new Setting("guide", List.of(given("guide-weight", "2")))),
                        List.of("asg", "direct"),
                        2);
        List<GenerationRequest> requests = requests(variants, PROMPT, given("seed", "7"));
        assertEquals(
                List.of(
                        "asg 7",
                        "asg 8",
                        "direct 7",
                        "direct 8",
                        "superres 7",
                        "superres 8",
                        "asg 7",
                        "asg 8"),
                requests.stream().map(r -> r.method() + " " + r.seed()).toList());
        assertEquals("own", variants.setting(5));
        assertEquals(0, requests.getFirst().guide().staleness().getAsInt());
    }

    @Test
    void aRowWithoutASeedHasThatOfItsPrompt() {
        // printf 'a red ball' | sha256sum | cut -c1-8
        long seed = 0x9bc68b58L;
        assertEquals(seed, requests(plain(), PROMPT).getFirst().seed());
        assertEquals(seed, requests(plain(), PROMPT, given("seed", "-1")).getFirst().seed());
        assertEquals(
                seed,
                requests(plain(given("steps", "3")), PROMPT, given("eta", "1")).getFirst().seed());
        assertEquals(5, requests(plain(given("seed", "5")), PROMPT).getFirst().seed());
        assertEquals(
                6,
                requests(plain(given("seed", "5")), PROMPT, given("seed", "6")).getFirst().seed());
    }

    @Test
    void whatARowCannotHaveIsRefused() {
        assertTrue(refusal(plain()).contains("no prompt"));
        assertTrue(refusal(plain(), given("prompt", " ")).contains("prompt is empty"));
        assertEquals(
                "\"steps\": 'x' is no whole number, as in 20",
                refusal(plain(), PROMPT, given("steps", "x")));
        assertTrue(refusal(plain(), PROMPT, given("steps", "0")).startsWith("\"steps\": steps"));
        assertTrue(
                refusal(plain(), PROMPT, given("paper-defaults", "yes"))
                        .contains("'yes' is neither true nor false"));
        assertTrue(
                refusal(plain(), PROMPT, given("method", "direct"), given("staleness", "1"))
                        .contains("an option of asg, cutdiffusion, not of direct"));
    }

    @Test
    void methodsWithoutASettingsOptionsAreLeftOut() {
        Setting dilated = new Setting("s", List.of(given("dilate", "mid_block=2")));
        assertTrue(
                assertThrows(
                                BadRequestException.class,
                                () -> variants(List.of(), List.of(dilated), List.of("asg"), 1))
                        .getMessage()
                        .contains("nothing to draw: none of the methods asg has"));
    }

    @Test
    void rowsWithoutAMethodAreDrawnByTheModels() {
        Variants variants =
                variants(
                        "relay",
                        List.of(given("staleness", "1"), given("preset", "frecas")),
                        List.of(Setting.NONE),
                        List.of(),
                        1);
        GenerationRequest request = requests(variants, PROMPT).getFirst();
        assertEquals("relay", request.method());
        assertEquals(LegOptions.Preset.FRECAS, request.legs().preset());
        assertEquals("asg", requests(variants, PROMPT, given("method", "asg")).getFirst().method());
        String said = refusal(variants, PROMPT, given("mask", "key"));
        assertTrue(said.contains("not of relay, by which the model \"demo\" draws"), said);
    }

    @Test
    void defaultsOfOtherMethodsDoNotCount() {
        GenerationRequest request =
                requests(plain(given("staleness", "1")), PROMPT, given("method", "direct"))
                        .getFirst();
        assertEquals("direct", request.method());
    }
}
