// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.AsgException;
import io.github.asg4j.Content;
import io.github.asg4j.RequestJson;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.PictureEncoding;
import io.github.asg4j.image.PictureTexts;
import io.github.asg4j.image.PngParameters;
import io.github.asg4j.image.StartPicture;

import org.jspecify.annotations.Nullable;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

import javax.imageio.ImageIO;

/**
 * What reads the input of strangers, for {@link FuzzTest} and for Jazzer ({@code benchmarks/fuzz.sh}): it
 * reads or refuses, and nothing else happens.
 */
enum FuzzTarget {
    REQUEST_JSON(5000) {
        @Override
        List<byte[]> seeds() {
            return bytes(JSON);
        }

        @Override
        void read(byte[] input) {
            RequestJson.read(new String(input, StandardCharsets.UTF_8));
        }
    },
    JSON_OF_REQUESTS(5000) {
        @Override
        List<byte[]> seeds() {
            return bytes(JSON);
        }

        @Override
        void read(byte[] input) {
            READER.read(Json.read(input), null, 1);
        }
    },
    JSON_BODIES(300) {
        @Override
        List<byte[]> seeds() {
            return bytes(JSON);
        }

        @Override
        void read(byte[] input) {
            String path = PATHS.get((input.length == 0 ? 0 : input[0] & 0xff) % PATHS.size());
            assertAnswered(Server.server().request(path).POST(BodyPublishers.ofByteArray(input)));
        }
    },
    MULTIPART(300) {
        @Override
        List<byte[]> seeds() throws IOException {
            return forms();
        }

        @Override
        void read(byte[] input) {
            assertAnswered(
                    HttpRequest.newBuilder(Server.server().uri("/v1/images/edits"))
                            .header("Content-Type", "multipart/form-data; boundary=b")
                            .POST(BodyPublishers.ofByteArray(input)));
        }
    },
    PICTURE_TEXTS(20_000) {
        @Override
        List<byte[]> seeds() throws IOException {
            return pictures();
        }

        @Override
        void read(byte[] input) {
            PictureTexts.of(input).values().forEach(text -> PngParameters.settings(text));
        }
    },
    START_PICTURES(2000) {
        @Override
        List<byte[]> seeds() throws IOException {
            return pictures();
        }

        @Override
        void read(byte[] input) {
            try (Memory memory = new Memory("fuzz")) {
                StartPicture.read(Content.bytes(input), memory);
            }
        }
    };

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

    private static final RequestReader READER = new RequestReader();

    /** Routes that read JSON. */
    private static final List<String> PATHS =
            List.of(
                    "/v1/images/generations",
                    "/asg/v1/plan",
                    "/sdapi/v1/txt2img",
                    "/sdapi/v1/img2img",
                    "/sdapi/v1/png-info",
                    "/sdapi/v1/options");

    private final int runs;

    /**
     * @param runs in every build
     */
    FuzzTarget(int runs) {
        this.runs = runs;
    }

    /** The server of the targets that need one. */
    private static final class Server {
        private static @Nullable TestServer open;

        static synchronized TestServer server() {
            TestServer there = open;
            if (there == null) {
                there =
                        new TestServer(
                                TestServer.options().withLimits(new Limits(128 * 128, 4, 0)));
                open = there;
            }
            return there;
        }

        static synchronized void close() {
            if (open != null) {
                open.close();
                open = null;
            }
        }
    }

    /** Closes the server, if one was needed. */
    static void close() {
        Server.close();
    }

    int runs() {
        return runs;
    }

    /** Input that is read. */
    abstract List<byte[]> seeds() throws IOException;

    /** Reads; what it throws but {@link AsgException} and {@link Refusal} is a failure. */
    abstract void read(byte[] input);

    /** Reads, or refuses with a message; whatever else happens is thrown. */
    void readOrRefuse(byte[] input) {
        try {
            read(input);
        } catch (AsgException | Refusal expected) {
            assertTrue(
                    !String.valueOf(expected.getMessage()).isBlank(),
                    () -> "refused without a word");
        }
    }

    private static void assertAnswered(HttpRequest.Builder request) {
        HttpResponse<String> response = Server.server().send(request);
        assertTrue(response.statusCode() < 500, response::body);
    }

    private static List<byte[]> bytes(List<String> texts) {
        return texts.stream().map(text -> text.getBytes(StandardCharsets.UTF_8)).toList();
    }

    private static List<byte[]> forms() throws IOException {
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
        return seeds;
    }

    /** A small picture in each format that is read. */
    private static List<byte[]> pictures() throws IOException {
        List<byte[]> files = new ArrayList<>();
        files.add(
                PictureEncoding.PNG.encode(
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

    /** Jazzer's entry: the target that {@code -Dasg.fuzz.target} names. */
    static final class Jazzer {
        private static final FuzzTarget TARGET =
                valueOf(System.getProperty("asg.fuzz.target", "").toUpperCase(Locale.ROOT));

        private Jazzer() {}

        public static void fuzzerTestOneInput(byte[] input) {
            TARGET.readOrRefuse(input);
        }
    }

    /** Writes the seeds of all targets, each into its folder below the one that is named. */
    public static void main(String[] arguments) throws IOException {
        for (FuzzTarget target : values()) {
            Path folder =
                    Files.createDirectories(
                            Path.of(arguments[0], target.name().toLowerCase(Locale.ROOT)));
            int number = 0;
            for (byte[] seed : target.seeds()) {
                Files.write(folder.resolve("seed" + number++), seed);
            }
        }
    }
}
