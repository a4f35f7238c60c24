// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.Tiny;
import io.github.asg4j.UsualMethod;
import io.github.asg4j.schedule.NoiseLevels;
import io.github.asg4j.schedule.Solver;
import io.github.asg4j.schedule.Spacing;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** A manifest is valid as a whole or refused with file, field, found and expected. */
class ManifestTest {
    private static Manifest parse(String json) {
        return Manifest.parse("B/manifest.json", json.getBytes(StandardCharsets.UTF_8));
    }

    private static String refusal(String json) {
        return assertThrows(BadBundleException.class, () -> parse(json)).getMessage();
    }

    @Test
    void everyFieldIsRead() throws IOException {
        Manifest m = parse(new FakeBundle().manifest());
        assertEquals(1, m.formatVersion());
        assertEquals("demo", m.name());
        assertEquals("Apache-2.0", m.licence());
        assertEquals("test 1", m.madeBy());
        assertEquals(
                new Manifest.Latent(4, 16, 24, 8, 0.18215, 0, 4, Manifest.Latent.UNLIMITED),
                m.latent());
        assertEquals(
                List.of(
                        new Manifest.TextEncoder(
                                "text_encoder.onnx",
                                "tokenizer.json",
                                77,
                                "last_hidden_state",
                                "text_embeds",
                                Manifest.Join.CHANNELS)),
                m.textEncoders());
        assertEquals(
                new Manifest.Denoiser(
                        "denoiser.onnx",
                        null,
                        List.of(),
                        "epsilon",
                        "fp32",
                        Tiny.DENOISER_INPUTS,
                        List.of(
                                new Manifest.Mask("mask_up0", "up_blocks.0", 4, true),
                                new Manifest.Mask("mask_up1", "up_blocks.1", 2, true)),
                        false,
                        320,
                        8),
                m.denoiser());
        assertEquals(
                new Manifest.Vae(
                        "vae_decoder.onnx",
                        "vae_encoder.onnx",
                        "fp32",
                        null,
                        null,
                        null,
                        256,
                        true),
                m.vae());
        assertEquals(
                new Manifest.Scheduler(
                        new NoiseLevels.Betas("epsilon", "scaled_linear", 0.00085, 0.012, 1000, 1),
                        Solver.EULER,
                        Spacing.LEADING),
                m.scheduler());
        assertEquals(new Manifest.Conditioning(true, true, true, 0, 0), m.conditioning());
        assertEquals(new Manifest.Defaults(50, 5.0, 0.75, "asg"), m.defaults());
        assertEquals(6, m.files().size());
        assertEquals(3, m.files().get("denoiser.weights").bytes());
        assertEquals(
                FakeBundle.sha256(new byte[] {1, 2, 3}),
                m.files().get("denoiser.weights").sha256());
    }

    @Test
    void whatMayBeNullMayBeAbsent() throws IOException {
        String json = new FakeBundle().manifest();
        assertNull(
                parse(json.replace("\"encoder\": \"vae_encoder.onnx\"", "\"encoder\": null"))
                        .vae()
                        .encoder());
        assertNull(parse(json.replace(", \"encoder\": \"vae_encoder.onnx\"", "")).vae().encoder());
        assertNull(parse(json.replace("\"dilated_file\": null, ", "")).denoiser().dilatedFile());
        String unpooled =
                json.replace(", \"pooled\": \"text_embeds\"", "")
                        .replace(" \"text_embeds\",", "")
                        .replace("\"pooled\": true", "\"pooled\": false");
        assertNull(parse(unpooled).textEncoders().getFirst().pooled());
    }

    @Test
    void theTiledDecoderIsRead() throws IOException {
        FakeBundle fake = new FakeBundle();
        fake.files.put("front.onnx", new byte[1]);
        String json =
                fake.manifest()
                        .replace(
                                "\"encoder\": \"vae_encoder.onnx\",",
                                "\"tiled_decoder\": {\"front\": \"front.onnx\", \"tail\":"
                                        + " \"vae_decoder.onnx\", \"scale\": 4, \"halo\": 9},");
        assertEquals(
                new Manifest.TiledNetwork("front.onnx", "vae_decoder.onnx", 4, 9, 512),
                parse(json).vae().tiledDecoder());
        assertTrue(
                refusal(json.replace("\"front.onnx\", \"tail", "\"f.onnx\", \"tail"))
                        .contains("vae.tiled_decoder.front: found \"f.onnx\""));
        assertTrue(
                refusal(json.replace("\"halo\": 9", "\"halo\": -9"))
                        .contains("vae.tiled_decoder.halo: found -9"));
    }

    @Test
    void levelsWithoutSignalAreOfNetworksThatPredictV() throws IOException {
        String json =
                new FakeBundle()
                        .manifest()
                        .replace(
                                "\"steps_offset\": 1",
                                "\"steps_offset\": 1, \"rescale_betas_zero_snr\": true");
        assertTrue(
                refusal(json).contains("scheduler.rescale_betas_zero_snr: found true"),
                refusal(json));
        Manifest v = parse(json.replace("\"prediction\": \"epsilon\"", "\"prediction\": \"v\""));
        assertTrue(((NoiseLevels.Betas) v.scheduler().levels()).zeroTerminalSnr());
    }

    @Test
    void theTiledEncoderIsRead() throws IOException {
        FakeBundle fake = new FakeBundle();
        fake.files.put("front.onnx", new byte[1]);
        fake.files.put("tail.onnx", new byte[1]);
        String json =
                fake.manifest()
                        .replace(
                                "\"encoder\": \"vae_encoder.onnx\",",
                                "\"encoder\": \"vae_encoder.onnx\", \"tiled_encoder\": {\"front\":"
                                        + " \"front.onnx\", \"tail\": \"tail.onnx\", \"scale\": 4,"
                                        + " \"halo\": 3, \"channels\": 256},");
        Manifest.Vae vae = parse(json).vae();
        assertEquals(
                new Manifest.TiledNetwork("front.onnx", "tail.onnx", 4, 3, 256),
                vae.tiledEncoder());
        assertNull(vae.tiledDecoder());
        assertTrue(vae.files().containsAll(List.of("front.onnx", "tail.onnx")));
        assertTrue(
                refusal(json.replace("\"halo\": 3", "\"halo\": -3"))
                        .contains("vae.tiled_encoder.halo: found -3"));
        assertTrue(
                refusal(json.replace("\"encoder\": \"vae_encoder.onnx\", ", ""))
                        .contains("vae.tiled_encoder"));
    }

    /** What the decoder's memory grows with; usual where the bundle does not say it. */
    @Test
    void widthAndAttentionOfTheDecoderAreRead() throws IOException {
        String json = new FakeBundle().manifest();
        assertEquals(Manifest.Vae.USUAL_WIDTH, parse(json).vae().width());
        assertTrue(parse(json).vae().keepsScores());
        String said =
                json.replace(
                        "\"encoder\": \"vae_encoder.onnx\",",
                        "\"width\": 32, \"attention\": \"none\",");
        assertEquals(32, parse(said).vae().width());
        assertFalse(parse(said).vae().keepsScores());
        assertTrue(parse(said.replace("none", "plain")).vae().keepsScores());
        assertFalse(parse(said.replace("none", "fused")).vae().keepsScores());
        assertTrue(refusal(said.replace(": 32", ": 0")).contains("vae.width: found 0"));
    }

    /** What the denoiser's memory grows with. */
    @Test
    void widthAndHeadsOfTheDenoiserAreRead() throws IOException {
        String json = new FakeBundle().manifest();
        String said =
                json.replace("\"dilated_file\":", "\"width\": 32, \"heads\": 2, \"dilated_file\":");
        assertEquals(32, parse(said).denoiser().width());
        assertEquals(2, parse(said).denoiser().heads());
        assertTrue(
                refusal(said.replace(": 32", ": 0")).contains("denoiser.width: found 0"),
                refusal(said.replace(": 32", ": 0")));
        assertTrue(
                refusal(said.replace("heads\": 2", "heads\": \"x\"")).contains("denoiser.heads"));
    }

    @Test
    void theDilatedGraphIsRead() throws IOException {
        FakeBundle fake = new FakeBundle();
        fake.files.put("dilated.onnx", new byte[1]);
        String json =
                fake.manifest()
                        .replace(
                                "\"dilated_file\": null",
                                "\"dilated_file\": \"dilated.onnx\", \"dilation_groups\":"
                                        + " [\"mid_block\", \"up_blocks.0\"]");
        Manifest.Denoiser denoiser = parse(json).denoiser();
        assertEquals("dilated.onnx", denoiser.dilatedFile());
        assertEquals(List.of("mid_block", "up_blocks.0"), denoiser.dilationGroups());
        for (List<String> fault :
                List.of(
                        List.of("\"dilated.onnx\", \"dil", "null, \"dil", "dilation_groups: found"),
                        List.of("\"dilated.onnx\", \"dil", "\"x.onnx\", \"dil", "\"x.onnx\""),
                        List.of(", \"up_blocks.0\"]", ", \"mid_block\"]", "dilation_groups[1]"),
                        List.of("[\"mid_block\", \"up_blocks.0\"]", "[]", "dilation_groups"),
                        List.of("[\"mid_block\", \"up_blocks.0\"]", "null", "dilated_file"))) {
            String changed = json.replace(fault.get(0), fault.get(1));
            assertNotEquals(json, changed);
            String message = refusal(changed);
            assertTrue(message.contains(fault.get(2)), message);
        }
    }

    @Test
    void upscalersAreRead() throws IOException {
        FakeBundle fake = new FakeBundle();
        assertEquals(List.of(), parse(fake.manifest()).upscalers());
        fake.files.put("x2.onnx", new byte[1]);
        fake.files.put("x4.onnx", new byte[1]);
        String json =
                fake.manifest()
                        .replace(
                                "\"scheduler\":",
                                "\"upscalers\": [{\"file\": \"x4.onnx\", \"scale\": 4, \"overlap\":"
                                        + " 32, \"tile_error\": 0.04, \"width\": 64}, {\"file\":"
                                        + " \"x2.onnx\", \"scale\": 2, \"overlap\": 0}],"
                                        + " \"scheduler\":");
        assertEquals(
                List.of(
                        new Manifest.Upscaler("x4.onnx", 4, 32, 0.04, 64),
                        new Manifest.Upscaler("x2.onnx", 2, 0, Double.NaN, 0)),
                parse(json).upscalers());
        assertTrue(
                refusal(json.replace("\"scale\": 2, \"overlap\"", "\"scale\": 4, \"overlap\""))
                        .contains("upscalers[1].scale: found 4, expected a scale that no other"));
        assertTrue(
                refusal(json.replace("\"scale\": 2, \"overlap\"", "\"scale\": 1, \"overlap\""))
                        .contains("upscalers[1].scale: found 1, expected an integer from 2"));
        assertTrue(
                refusal(json.replace("\"overlap\": 32", "\"overlap\": -1"))
                        .contains("upscalers[0].overlap: found -1"));
        assertTrue(
                refusal(json.replace("\"overlap\": 32", "\"border\": 32"))
                        .contains("upscalers[0].border"));
        assertTrue(
                refusal(json.replace("\"file\": \"x2.onnx\"", "\"file\": \"x3.onnx\""))
                        .contains("upscalers[1].file: found \"x3.onnx\""));
    }

    @Test
    void theMethodWithoutANameIsOneThatTheBundleCanDrawBy() throws IOException {
        FakeBundle fake = new FakeBundle();
        String json = fake.manifest();
        assertEquals("asg", parse(json).usualMethod().name());
        for (String method : List.of("asg", "direct", "relay", "demofusion")) {
            assertEquals(
                    new UsualMethod(method, "demo"), parse(drawing(json, method)).usualMethod());
        }
        String relay = drawing(json, "relay");
        for (List<String> fault :
                List.of(
                        List.of(
                                drawing(json, "Relay"),
                                "defaults.method: found \"Relay\", expected one of asg, direct,"),
                        List.of(
                                relay.replace(", \"encoder\": \"vae_encoder.onnx\"", ""),
                                "relay needs vae.encoder"),
                        List.of(drawing(json, "scalecrafter"), "needs denoiser.dilated_file"),
                        List.of(drawing(json, "superres"), "superres needs upscalers"))) {
            assertNotEquals(relay, fault.get(0));
            String said = refusal(fault.get(0));
            assertTrue(said.contains("defaults.method: found \""), said);
            assertTrue(said.contains(fault.get(1)), said);
        }
    }

    private static String drawing(String json, String method) {
        return json.replace("\"steps\": 50", "\"method\": \"" + method + "\", \"steps\": 50");
    }

    @Test
    void networksOfTheEvaluationAreRead() throws IOException {
        FakeBundle fake = new FakeBundle();
        assertNull(parse(fake.manifest()).evaluation());
        for (String name : List.of("f.onnx", "o.json", "n.onnx", "t.json", "p.npy", "c.npy")) {
            fake.files.put(name, new byte[1]);
        }
        String json =
                fake.manifest()
                        .replace(
                                "\"files\": {",
                                "\"evaluation\": {\"features\": \"f.onnx\", \"objects\":"
                                        + " {\"models\": \"o.json\", \"namer\": \"n.onnx\"},"
                                        + " \"truth\": {\"statistics\": \"t.json\", \"sizes\":"
                                        + " [{\"size\": [256, 128], \"pictures\": \"p.npy\","
                                        + " \"crops\": \"c.npy\"}]}}, \"files\": {");
        assertEquals(
                new Manifest.Evaluation(
                        null,
                        "f.onnx",
                        new Manifest.Objects("o.json", "n.onnx"),
                        new Manifest.Truth(
                                "t.json",
                                List.of(new Manifest.TruthSize(256, 128, "p.npy", "c.npy")))),
                parse(json).evaluation());
        assertTrue(
                refusal(json.replace("\"features\": \"f.onnx\", ", ""))
                        .contains("evaluation.truth: is of no use without features"));
        assertTrue(
                refusal(json.replace("\"n.onnx\"}", "\"x.onnx\"}"))
                        .contains("evaluation.objects.namer: found \"x.onnx\""));
        assertTrue(
                refusal(json.replace("[256, 128]", "[256, 0]"))
                        .contains("evaluation.truth.sizes[0].size[1]: found 0"));
    }

    /** Old text, new text, then what the message has to say: field, found, expected. */
    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '`',
            delimiter = '|',
            value = {
                "\"name\": \"demo\" | \"nane\": \"demo\" | nane | unknown key | name",
                "\"made_by\": \"test 1\", |  | made_by | is missing | expected a value",
                "\"made_by\": \"test 1\" | \"made_by\": null | made_by | is null | expected",
                "\"made_by\": \"test 1\" | \"made_by\": \" \" | made_by | \" \" | not blank",
                "\"shift\": 0.0 | \"shift\": \"0\" | latent.shift | \"0\" | a number",
                "\"shift\": 0.0 | \"shift\": 1e999 | latent.shift | Infinity | a number",
                "\"scaling\": 0.18215 | \"scaling\": 0 | latent.scaling | found 0 | a number from",
                "\"channels\": 4 | \"channels\": 4.5 | latent.channels | 4.5 | an integer from 1",
                "\"channels\": 4 | \"channels\": 0 | latent.channels | 0 | an integer from 1",
                "\"channels\": 4 | \"channels\": 99999999999999999999 | latent.channels | 1.0E20 |"
                        + " an integer",
                "[16, 24] | [16, 22] | latent.native_size[1] | 22 | multiple of unet_multiple",
                "[16, 24] | [16] | latent.native_size | 1 entries | expected 2",
                "\"length\": 77 | \"length\": 2 | text_encoders[0].length | 2 | from 3",
                "\"hidden\": \"last_hidden_state\" | \"hidden\": 3 | text_encoders[0].hidden | 3 |"
                        + " a string",
                "\"scale\": 4 | \"scale\": \"x\" | denoiser.masks[0].scale | \"x\" | an integer",
                "\"scale\": 2 | \"sale\": 2 | denoiser.masks[1].sale | unknown key | scale",
                "mask_up1 | mask_up0 | denoiser.masks[1].output | mask_up0 | no other mask",
                "up_blocks.1 | up_blocks.0 | denoiser.masks[1].block | up_blocks.0 | no other mask",
                "\"epsilon\" | \"sample\" | denoiser.prediction | \"sample\" | epsilon, v",
                "\"epsilon\" | \"flow\" | scheduler.type | \"euler\" | flow_euler",
                "\"time_ids\", | \"size_ids\", | denoiser.inputs[4] | \"size_ids\" | one of sample",
                "\"time_ids\", | \"sample\", | denoiser.inputs[4] | \"sample\" | once",
                "[\"sample\", \"timestep\", | [\"sample\", | denoiser.inputs | a list |"
                        + " \"timestep\"",
                ", \"token_weights\" |  | denoiser.masks | a list | token_weights",
                "\"time_ids\", | {\"name\": \"x\", \"role\": \"size\"}, | denoiser.inputs[4].role |"
                        + " \"size\" | one of sample",
                "\"time_ids\", | {\"name\": \"x\", \"role\": \"text\"}, | denoiser.inputs[4] |"
                        + " an object | every input once",
                "\"time_ids\", | {\"name\": \"x\", \"role\": \"guidance\"}, |"
                        + " denoiser.inputs[4] | an object | width",
                "\"time_ids\", | \"timestep_cond\", | denoiser.inputs[4] | \"timestep_cond\" |"
                        + " one of sample",
                "\"time_ids\": true | \"time_ids\": false | conditioning.time_ids | false | inputs",
                "\"pooled\": true | \"pooled\": 1 | conditioning.pooled | 1 | true or false",
                ", \"pooled\": \"text_embeds\" |  | conditioning.pooled | true | text_encoders",
                "\"type\": \"euler\" | \"type\": \"pndm\" | scheduler.type | \"pndm\" | euler,"
                        + " ddim",
                "\"scaled_linear\" | \"cosine\" | scheduler.beta_schedule | \"cosine\" | linear",
                "\"leading\" | \"even\" | scheduler.spacing | \"even\" | leading, trailing",
                "\"beta_end\": 0.012 | \"beta_end\": 0.0001 | scheduler.beta_end | 1.0E-4 | 8.5E-4",
                "\"steps_offset\": 1 | \"steps_offset\": 1000 | scheduler.steps_offset | 1000 |"
                        + " 999",
                "\"steps\": 50 | \"steps\": 1001 | defaults.steps | 1001 | 1 to 1000",
                "\"bytes\": 3 | \"bytes\": -3 | files.denoiser.weights.bytes | -3 | from 0",
                "\"sha256\": \" | \"sha256\": \"G | files.denoiser.onnx.sha256 | \"G | hexadecimal",
                "\"file\": \"denoiser.onnx\" | \"file\": \"unet.onnx\" | denoiser.file | unet.onnx"
                        + " | files",
            })
    void refusedWithFieldFoundAndExpected(
            String old, String replacement, String field, String found, String expected)
            throws IOException {
        String json = new FakeBundle().manifest().replaceAll("\\s+", " ");
        String changed = json.replace(old, replacement == null ? "" : replacement);
        assertNotEquals(json, changed, "nothing to replace: " + old);
        String message = refusal(changed);
        for (String part : new String[] {"B/manifest.json: ", field, found, expected}) {
            assertTrue(part == null || message.contains(part), part + " is not in: " + message);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "/etc/passwd, absolute",
        "C:/x.onnx, absolute",
        "../x.onnx, '..'",
        "a/../../x.onnx, '..'",
        "a\\\\x.onnx, backslash",
        "a//x.onnx, element",
        "./x.onnx, element",
        "a\\u0000.onnx, NUL",
        "'', blank"
    })
    void pathsThatMayLeaveTheFolder(String path, String fault) throws IOException {
        String json = new FakeBundle().manifest();
        String named = refusal(json.replace("\"vae_decoder.onnx\",", "\"" + path + "\","));
        assertTrue(named.contains("vae.decoder") && named.contains(fault), named);
        String listed = refusal(json.replace("\"vae_decoder.onnx\":", "\"" + path + "\":"));
        assertTrue(listed.contains("B/manifest.json: files."), listed);
        assertTrue(listed.contains(fault.equals("blank") ? "empty" : fault), listed);
    }

    @Test
    void newerFormatSaysSoBeforeAnythingElse() throws IOException {
        String json =
                new FakeBundle()
                        .manifest()
                        .replace(
                                "\"format_version\": 1,", "\"format_version\": 2, \"novelty\": 1,");
        String message = refusal(json);
        assertTrue(message.contains("found 2, expected at most 1"), message);
        assertTrue(message.contains("newer asg4j"), message);
    }

    @Test
    void brokenJsonSaysWhere() throws IOException {
        String json = new FakeBundle().manifest();
        assertTrue(
                refusal(json.replace("\"channels\": 4,", "\"channels\": 4")).contains("line 2, "));
        assertTrue(refusal(json.substring(0, 200)).contains("line "));
        assertTrue(refusal("").contains("is empty"));
        assertTrue(refusal("[1]").contains("expected an object"));
        assertTrue(refusal(json + "x").contains("line "));
        assertTrue(refusal(json + "{}").contains("text after the end"));
        assertTrue(
                refusal(json.replace("\"name\": \"demo\",", "\"name\": \"a\", \"name\": \"b\","))
                        .contains("Duplicate"));
        assertTrue(refusal("[".repeat(5000)).contains("B/manifest.json"));
    }
}
