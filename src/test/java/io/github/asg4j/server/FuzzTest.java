// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.github.asg4j.AsgException;
import io.github.asg4j.Content;
import io.github.asg4j.RequestJson;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.PictureTexts;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.image.PngWriter;
import io.github.asg4j.image.StartPicture;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Random;

import javax.imageio.ImageIO;

/**
 * Mutated input for everything that reads what strangers send: it is read or refused, and nothing else
 * happens. The same in every build; {@code -Dasg.fuzz.seconds=600} gives each test so long, with inputs
 * that differ from run to run. A failure prints the input.
 */
class FuzzTest {
    private static final int SECONDS = Integer.getInteger("asg.fuzz.seconds", 0);

    private static final List<String> JSON =
            List.of(
                    "{\"prompt\":\"a red ball\",\"seed\":7,\"size\":\"64x64\",\"steps\":1}",
                    "{\"prompt\":\"(a:1.2) [b:c:0.5] BREAK"
                            + " <lora:x:1>\",\"prompt_syntax\":\"a1111\","
                            + "\"steps\":1,\"width\":64,\"height\":64,\"cfg_scale\":7.5}",
                    "{\"prompt\":\"x\",\"method\":\"demofusion\",\"image\":{\"base64\":\"aGFsbG8=\"},"
                        + "\"size\":\"128x64\",\"guidance_interval\":\"0.28..5.42\"}",
                    "{\"prompt\":\"x\",\"n\":2,\"size\":\"64x64\",\"steps\":1,\"output_format\":\"jpeg\","
                        + "\"output_compression\":90,\"override_settings\":{}}",
                    "{\"prompt\":\"\\u0000\\ud800"
                            + " \\u20ac\",\"negative_prompt\":\"y\",\"scheduler\":\"DPM++ 2M"
                            + " Karras\",\"width\":64,\"height\":64,\"steps\":1}");

    /** What readers trip over. */
    private static final List<String> TOKENS =
            List.of(
                    "null",
                    "true",
                    "-1",
                    "0",
                    "1e999",
                    "-0.0",
                    "1e-999",
                    "9223372036854775808",
                    "18446744073709551616",
                    "NaN",
                    "Infinity",
                    "[]",
                    "{}",
                    "[[[[[[[[",
                    "\"\"",
                    "\\u0000",
                    "\\ud800",
                    "\"",
                    "\\",
                    ",",
                    ":",
                    "\r\n",
                    "--b",
                    "--b--\r\n",
                    "\u0000",
                    "%s",
                    "../",
                    "<lora:",
                    "BREAK",
                    "((((",
                    "]]]]",
                    "AND",
                    "x0",
                    "99999999999x64",
                    "64x64x64");

    private static TestServer server;

    @BeforeAll
    static void open() {
        server = new TestServer(TestServer.options().withLimits(new Limits(128 * 128, 4, 0)));
    }

    @AfterAll
    static void close() {
        server.close();
    }

    /** Something that reads; what it throws is a failure. */
    private interface Reader {
        void read(byte[] input) throws Exception;
    }

    private static void fuzz(int runs, List<byte[]> seeds, Reader reader) {
        long end = System.nanoTime() + SECONDS * 1_000_000_000L;
        Random random = new Random(SECONDS == 0 ? 7 : System.nanoTime());
        for (int run = 0; SECONDS == 0 ? run < runs : System.nanoTime() < end; run++) {
            byte[] input = seeds.get(random.nextInt(seeds.size()));
            for (int i = random.nextInt(4); i >= 0; i--) {
                input = mutated(input, seeds, random);
            }
            try {
                reader.read(input);
            } catch (AsgException | Refusal expected) {
                assertTrue(
                        !String.valueOf(expected.getMessage()).isBlank(),
                        () -> "a refusal without a word");
            } catch (Throwable e) {
                fail("input " + Base64.getEncoder().encodeToString(input), e);
            }
        }
    }

    private static byte[] mutated(byte[] input, List<byte[]> seeds, Random random) {
        int at = random.nextInt(input.length + 1);
        int to = Math.min(input.length, at + random.nextInt(16));
        return switch (random.nextInt(7)) {
            case 0 -> Arrays.copyOf(input, at);
            case 1 -> joined(input, at, new byte[0], to);
            case 2 -> joined(input, to, Arrays.copyOfRange(input, at, to), to);
            case 3 -> joined(input, at, token(random), random.nextBoolean() ? at : to);
            case 4 -> {
                byte[] other = seeds.get(random.nextInt(seeds.size()));
                int from = random.nextInt(other.length + 1);
                yield joined(
                        input, at, Arrays.copyOfRange(other, from, other.length), input.length);
            }
            case 5 -> {
                byte[] noise = new byte[random.nextInt(1, 9)];
                random.nextBytes(noise);
                yield joined(input, at, noise, to);
            }
            default -> {
                byte[] flipped = input.clone();
                if (at < flipped.length) {
                    flipped[at] ^= (byte) (1 << random.nextInt(8));
                }
                yield flipped;
            }
        };
    }

    private static byte[] token(Random random) {
        return TOKENS.get(random.nextInt(TOKENS.size())).getBytes(StandardCharsets.UTF_8);
    }

    /** The bytes before {@code at}, the middle, and those from {@code rest} on. */
    private static byte[] joined(byte[] input, int at, byte[] middle, int rest) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(input, 0, at);
        out.writeBytes(middle);
        out.write(input, rest, input.length - rest);
        return out.toByteArray();
    }

    private static List<byte[]> bytes(List<String> texts) {
        return texts.stream().map(text -> text.getBytes(StandardCharsets.UTF_8)).toList();
    }

    @Test
    void requestJson() {
        fuzz(
                5000,
                bytes(JSON),
                input -> RequestJson.read(new String(input, StandardCharsets.UTF_8)));
    }

    @Test
    void jsonOfRequests() {
        RequestReader reader = new RequestReader();
        fuzz(5000, bytes(JSON), input -> reader.read(Json.read(input), null, 1));
    }

    @Test
    void jsonBodies() {
        List<String> paths =
                List.of(
                        "/v1/images/generations",
                        "/asg/v1/plan",
                        "/sdapi/v1/txt2img",
                        "/sdapi/v1/img2img",
                        "/sdapi/v1/png-info",
                        "/sdapi/v1/options");
        Random random = new Random(1);
        fuzz(
                300,
                bytes(JSON),
                input ->
                        assertAnswered(
                                server.request(paths.get(random.nextInt(paths.size())))
                                        .POST(BodyPublishers.ofByteArray(input))));
    }

    private static void assertAnswered(HttpRequest.Builder request) {
        HttpResponse<String> response = server.send(request);
        assertTrue(response.statusCode() < 500, response::body);
    }

    @Test
    void multipart() throws IOException {
        byte[] picture = pictures().getFirst();
        List<byte[]> seeds = new ArrayList<>();
        for (String name : List.of("image", "image[]")) {
            ByteArrayOutputStream form = new ByteArrayOutputStream();
            form.writeBytes(
                    ("--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na ball\r\n"
                                    + "--b\r\nContent-Disposition: form-data; name=\"steps\"\r\n"
                                    + "Content-Type: text/plain; charset=utf-8\r\n\r\n1\r\n"
                                    + "--b\r\nContent-Disposition: form-data; name=\"size\"\r\n\r\n"
                                    + "64x64\r\n--b\r\nContent-Disposition: form-data; name=\""
                                    + name
                                    + "\"; filename=\"../a.png\"\r\n\r\n")
                            .getBytes(StandardCharsets.UTF_8));
            form.writeBytes(picture);
            form.writeBytes("\r\n--b--\r\n".getBytes(StandardCharsets.UTF_8));
            seeds.add(form.toByteArray());
        }
        fuzz(
                300,
                seeds,
                input ->
                        assertAnswered(
                                HttpRequest.newBuilder(server.uri("/v1/images/edits"))
                                        .header("Content-Type", "multipart/form-data; boundary=b")
                                        .POST(BodyPublishers.ofByteArray(input))));
    }

    @Test
    void textsOfPictures() throws IOException {
        fuzz(
                20_000,
                pictures(),
                input ->
                        PictureTexts.of(input)
                                .values()
                                .forEach(text -> PngParameters.settings(text)));
    }

    @Test
    void startPictures() throws IOException {
        fuzz(
                2000,
                pictures(),
                input -> {
                    try (Memory memory = new Memory("fuzz")) {
                        StartPicture.read(Content.bytes(input), memory);
                    }
                });
    }

    /** A small picture in each format that is read. */
    private static List<byte[]> pictures() throws IOException {
        List<byte[]> files = new ArrayList<>();
        files.add(
                PngWriter.encode(
                        8,
                        8,
                        MemorySegment.ofArray(new byte[8 * 8 * 3]),
                        "a \u65e5 ball\nNegative prompt: x\nSteps: 4, Sampler: Euler, Seed: 7"));
        BufferedImage picture = new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB);
        for (String format : List.of("png", "jpeg", "gif", "bmp", "tiff")) {
            ByteArrayOutputStream file = new ByteArrayOutputStream();
            assertTrue(ImageIO.write(picture, format, file), format);
            files.add(file.toByteArray());
        }
        return files;
    }
}
