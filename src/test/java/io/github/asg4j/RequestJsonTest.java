// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** A request written as JSON is read back as it was; what is none is refused with key and value. */
class RequestJsonTest {
    /** Texts that are values of the options of which they are not numbers between 0 and 1. */
    private static final Map<String, List<String>> TEXTS =
            Map.ofEntries(
                    Map.entry("prompt", List.of("a \"ball\"\n\u00e9 \ud83d\ude00", "b\\, c: {}")),
                    Map.entry("negative-prompt", List.of("grey", "\u4e2d")),
                    Map.entry("background-prompt", List.of("grass", "")),
                    Map.entry("size", List.of("256x192", "8x4096")),
                    Map.entry("steps", List.of("1", "1000")),
                    Map.entry(
                            "seed", List.of("0", "-5", "18446744073709551615", "9007199254740993")),
                    Map.entry("guidance-interval", List.of("0.28..5.42", "0..1")),
                    Map.entry("cache-interval", List.of("2", "1000")),
                    Map.entry("scheduler", List.of("euler", "ddim", "flow_euler")),
                    Map.entry("prompt-syntax", List.of("plain", "a1111")),
                    Map.entry("clip-skip", List.of("1", "12")),
                    Map.entry("spacing", List.of("leading", "trailing", "linspace")),
                    Map.entry("view-batch", List.of("auto", "3")),
                    Map.entry("vae-tile", List.of("256", "65536")),
                    Map.entry("paper-defaults", List.of("true")),
                    Map.entry("variation-seed", List.of("0", "18446744073709551615")),
                    Map.entry("lora", List.of("style.safetensors", "/a b/s:x.safetensors:-0.5")),
                    Map.entry("image", List.of("ball.png", "/a b/\u00fc.jpg")),
                    Map.entry("image-fit", List.of("exact", "crop", "pad", "stretch")),
                    Map.entry("latents", List.of("z.npy")),
                    Map.entry("dump", List.of("folder")),
                    Map.entry("guide-schedule", List.of("constant", "cosine", "linear")),
                    Map.entry("guide-space", List.of("noise", "latent")),
                    Map.entry("guide-upsampling", List.of("nearest", "bicubic")),
                    Map.entry("mask", List.of("key", "own", "none")),
                    Map.entry("mask-blocks", List.of("up_blocks.0", "a,b")),
                    Map.entry("mask-tokens", List.of("0", "1,3")),
                    Map.entry("mask-norm", List.of("minmax", "max", "mean-threshold")),
                    Map.entry("staleness", List.of("0", "1", "7")),
                    Map.entry("interaction", List.of("every", "off", "4")),
                    Map.entry("patch-aspect", List.of("axis", "picture")),
                    Map.entry("window-stride", List.of("1", "4096")),
                    Map.entry("jitter", List.of("0", "3")),
                    Map.entry("window-weight", List.of("feather", "uniform")),
                    Map.entry("window-conditioning", List.of("crop", "whole")),
                    Map.entry(
                            "control",
                            List.of(
                                    "edges:a.png",
                                    "depth:b.png:weight=0.8,start=0.1,end=0.7",
                                    "edges:c.png:preprocess=canny,low=50,high=150")),
                    Map.entry("preset", List.of("frecas", "hires-fix")),
                    Map.entry(
                            "stages",
                            List.of(
                                    "1x 0..0.6; full 0.6..1 guidance=6",
                                    "1x 0..1; 1.5x t343..0/10 low=0.1 windows=0.75")),
                    Map.entry("inpaint-area", List.of("whole", "masked")),
                    Map.entry("inpaint-padding", List.of("0", "4096")),
                    Map.entry("outpaint", List.of("64,0,64,0", "1,2,3,4")),
                    Map.entry("region", List.of("0,8,64,128: a ball", "1,2,3,4: a: b, \"c\"")),
                    Map.entry("stage-views", List.of("whole", "windows")),
                    Map.entry("enlarge", List.of("bicubic", "latent")),
                    Map.entry("dilate", List.of("mid_block=2,up_blocks.0=2.5")),
                    Map.entry("dilate-course", List.of("constant", "progressive")),
                    Map.entry("damped", List.of("a=1", "b=8,a=1.0000000000000002")));

    static Set<String> methods() {
        return MethodOptions.DEFAULTS.keySet();
    }

    @ParameterizedTest
    @MethodSource("methods")
    void requestsAreReadBackAsTheyWereWritten(String method) {
        Random random = new Random(7);
        Set<String> seen = new HashSet<>();
        for (int i = 0; i < 300; i++) {
            GenerationRequest.Builder builder = GenerationRequest.builder("a ball").method(method);
            for (RequestOption<?> option : RequestOptions.ALL) {
                boolean otherStart =
                        (option.name().equals("latents") && seen.contains("image" + i))
                                || (option.name().equals("stages") && seen.contains("preset" + i));
                if (option.name().equals("method")
                        || otherStart
                        || !option.methods().contains(method)
                        || random.nextInt(3) == 0) {
                    continue;
                }
                List<String> texts = TEXTS.get(option.name());
                String text =
                        texts == null
                                ? Double.toString(0.01 + 0.99 * random.nextDouble())
                                : texts.get(random.nextInt(texts.size()));
                option.parse(builder, text);
                seen.add(option.name());
                seen.add(option.name() + i);
            }
            GenerationRequest request = builder.build();
            String json = RequestJson.write(request);
            assertEquals(request, RequestJson.read(json), json);
            assertTrue(json.chars().allMatch(c -> c < 128), json);
        }
        for (RequestOption<?> option : RequestOptions.ALL) {
            assertEquals(
                    option.methods().contains(method) && !option.name().equals("method"),
                    seen.contains(option.name()),
                    option.name());
        }
    }

    @Test
    void bytesAreWrittenAsBase64AndReadBack() {
        GenerationRequest request =
                GenerationRequest.builder("a ball")
                        .method("superres")
                        .image(Content.bytes(new byte[] {0, -1, 7}))
                        .build();
        String json = RequestJson.write(request);
        assertTrue(json.contains("\"image\":{\"base64\":\"AP8H\"}"), json);
        assertEquals(request, RequestJson.read(json));
        assertNotEquals(request, RequestJson.read(json.replace("AP8H", "AP8I")));
    }

    @Test
    void onlyWhatIsGivenIsWritten() {
        assertEquals(
                "{\"prompt\":\"a ball\",\"seed\":7}",
                RequestJson.write(GenerationRequest.builder("a ball").seed(7).build()));
    }

    @Test
    void optionsOfAnyMethodWaitForOne() {
        String json =
                "{\"prompt\":\"a"
                        + " ball\",\"seed\":0,\"mask\":\"key\",\"window_stride\":5,\"blur\":2.0,"
                        + "\"preset\":\"frecas\",\"dilate_share\":0.5}";
        GenerationRequest request = RequestJson.read(json);
        assertNull(request.method());
        assertEquals(json, RequestJson.write(request));
        assertEquals(request, RequestJson.read(RequestJson.write(request)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{}|\"prompt\" is missing",
                "[]|one JSON object",
                "|one JSON object",
                "{\"prompt\":\"a\"} {}|one JSON object",
                "{\"prompt\":\"a\"|no JSON",
                "{\"prompt\":\"a\",\"prompt\":\"b\"}|Duplicate field 'prompt'",
                "{\"prompt\":\"a\",\"stepz\":3}|unknown key \"stepz\"",
                "{\"prompt\":\"a\",\"steps\":null}|\"steps\" is null",
                "{\"prompt\":\"a\",\"steps\":\"3\"}|\"steps\": \"3\" is not a whole number",
                "{\"prompt\":\"a\",\"steps\":3.5}|\"steps\": 3.5 is not a whole number",
                "{\"prompt\":\"a\",\"steps\":1001}|\"steps\": steps is 1001: it has to be",
                "{\"prompt\":\"a\",\"guidance_scale\":NaN}|no JSON",
                "{\"prompt\":\"a\",\"guidance_scale\":1e999}|is not a finite number",
                "{\"prompt\":\"a\",\"guidance_scale\":101}|between 0 and 100",
                "{\"prompt\":\"a\",\"seed\":18446744073709551616}|\"seed\": '18446744073709551616'",
                "{\"prompt\":\"a\",\"seed\":1.5}|\"seed\": 1.5 is not a whole number",
                "{\"prompt\":\"a\",\"mask\":\"both\"}|\"mask\": 'both' is not one of key, own,"
                        + " none",
                "{\"prompt\":\"a\",\"paper_defaults\":1}|\"paper_defaults\": 1 is not true or"
                        + " false",
                "{\"prompt\":\"a\",\"latents\":\"z.npy\"}|\"latents\": \"z.npy\" is not {\"file\"",
                "{\"prompt\":\"a\",\"latents\":{\"base64\":\"A\"}}|\"latents\": no base64: ",
                "{\"prompt\":\"a\",\"mask_tokens\":[\"1\"]}|\"mask_tokens\": \"1\" is not a whole",
                "{\"prompt\":\"a\",\"method\":\"magic\"}|\"method\": unknown method \"magic\"",
                "{\"jitter\":1,\"prompt\":\"a\",\"method\":\"direct\"}|jitter is an option of asg,",
            })
    void whatIsNoRequestIsRefusedByKeyAndValue(String json, String message) {
        BadRequestException e =
                assertThrows(
                        BadRequestException.class,
                        () -> RequestJson.read(json == null ? "" : json));
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }
}
