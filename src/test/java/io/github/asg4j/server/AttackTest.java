// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static io.github.asg4j.server.TestServer.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/** What is meant to break a server gets an answer, and the next request is served. */
class AttackTest {
    private static final ApiKey ANN = new ApiKey("ann", "secret-of-ann", new Limits(20_000, 4, 1));
    private static final ApiKey BOB = new ApiKey("bob", "secret-of-bob", Limits.NONE);

    private static TestServer open;
    private static TestServer keyed;

    @BeforeAll
    static void start() {
        open = new TestServer(TestServer.options().withHosts(List.of("pictures.example")));
        keyed = new TestServer(TestServer.options().withKeys(List.of(ANN, BOB)));
    }

    @AfterAll
    static void stop() {
        open.close();
        keyed.close();
    }

    /** Sends bytes as they are; what comes back until the server closes. */
    private static String raw(String text) throws IOException {
        try (Socket socket =
                new Socket(InetAddress.getLoopbackAddress(), open.server.uri().getPort())) {
            socket.setSoTimeout(20_000);
            OutputStream out = socket.getOutputStream();
            out.write(text.getBytes(StandardCharsets.ISO_8859_1));
            out.flush();
            InputStream in = socket.getInputStream();
            ByteArrayOutputStream answer = new ByteArrayOutputStream();
            byte[] buffer = new byte[4096];
            int n = in.read(buffer);
            while (n > 0 && answer.size() < 1 << 16) {
                answer.write(buffer, 0, n);
                n = in.read(buffer);
            }
            return answer.toString(StandardCharsets.UTF_8);
        }
    }

    private static void assertServes() {
        assertEquals(200, open.get("/health/live").statusCode());
    }

    @Test
    void bodyBeyondTheLimitIsRefusedWhetherItSaysSoOrNot() {
        byte[] large = new byte[(1 << 20) + 1];
        for (boolean chunked : new boolean[] {false, true}) {
            HttpResponse<String> response =
                    open.send(
                            open.request("/v1/images/generations")
                                    .POST(
                                            chunked
                                                    ? BodyPublishers.ofInputStream(
                                                            () ->
                                                                    new java.io
                                                                            .ByteArrayInputStream(
                                                                            large))
                                                    : BodyPublishers.ofByteArray(large)));
            assertEquals(413, response.statusCode(), response::body);
            assertEquals("request_too_large", json(response).path("error").path("code").asText());
        }
        assertServes();
    }

    /** As many clients do: what was refused is said to who sends all before reading. */
    @ParameterizedTest
    @CsvSource({
        "/v1/images/generations, 413, Content-Length: 8388608",
        "/nothing/here, 404, Content-Length: 8388608",
        "/v1/images/generations, 413, Transfer-Encoding: chunked",
        "/v1/models, 405, Transfer-Encoding: chunked",
    })
    void answerReachesWhoSendsAllBeforeReading(String path, int status, String length)
            throws IOException, InterruptedException {
        try (Socket socket =
                new Socket(InetAddress.getLoopbackAddress(), open.server.uri().getPort())) {
            socket.setSoTimeout(20_000);
            OutputStream out = socket.getOutputStream();
            out.write(
                    ("POST "
                                    + path
                                    + " HTTP/1.1\r\nHost: localhost\r\n"
                                    + "Content-Type: application/json\r\n"
                                    + length
                                    + "\r\n\r\n")
                            .getBytes(StandardCharsets.US_ASCII));
            boolean chunked = length.startsWith("Transfer");
            byte[] part = new byte[1 << 16];
            for (int i = 0; i < 128; i++) {
                if (chunked) {
                    out.write("10000\r\n".getBytes(StandardCharsets.US_ASCII));
                }
                out.write(part);
                if (chunked) {
                    out.write("\r\n".getBytes(StandardCharsets.US_ASCII));
                }
            }
            if (chunked) {
                out.write("0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            }
            Thread.sleep(100); // the reset would come now
            String answer =
                    new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertTrue(answer.startsWith("HTTP/1.1 " + status + " "), answer);
            assertTrue(answer.contains("Connection: close"), answer);
        }
    }

    /** Who asks before it sends, or waits in the middle, is answered at once. */
    @ParameterizedTest
    @ValueSource(strings = {"Expect: 100-continue\r\n\r\n", "\r\n{\"prompt\":"})
    void answerDoesNotWaitForTheBody(String rest) throws IOException {
        try (Socket socket =
                new Socket(InetAddress.getLoopbackAddress(), open.server.uri().getPort())) {
            socket.setSoTimeout(20_000);
            socket.getOutputStream()
                    .write(
                            ("POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
                                            + "Content-Type: application/json\r\n"
                                            + "Content-Length: 8388608\r\n"
                                            + rest)
                                    .getBytes(StandardCharsets.US_ASCII));
            String answer =
                    new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertTrue(answer.startsWith("HTTP/1.1 413 "), answer);
            assertFalse(answer.contains("100 Continue"), answer);
        }
    }

    @Test
    void longHeaderIsRefused() throws IOException {
        String answer =
                raw(
                        "GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Long: "
                                + "x".repeat(60_000)
                                + "\r\n\r\n");
        assertTrue(answer.startsWith("HTTP/1.1 431 "), answer);
        assertServes();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "GET /../../etc/passwd HTTP/1.1",
                "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
                "GET /asg/v1/jobs/..%2f..%2fetc%2fpasswd HTTP/1.1",
                "GET /v1/models/%00 HTTP/1.1",
                "GET //etc/passwd HTTP/1.1",
            })
    void pathLeadsNowhere(String line) throws IOException {
        String answer = raw(line + "\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assertTrue(answer.matches("(?s)HTTP/1.1 (400|404) .*"), answer);
        assertFalse(answer.contains("root:"), answer);
        assertServes();
    }

    @Test
    void noHttpIsRefused() throws IOException {
        assertTrue(raw("\u0000\u0001\u0002\r\n\r\n").startsWith("HTTP/1.1 400 "));
        assertServes();
    }

    @Test
    void namesOfOtherHostsAreRefused() throws IOException {
        String answer =
                raw("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        assertTrue(answer.startsWith("HTTP/1.1 421 "), answer);
        assertTrue(answer.contains("evil.example"), answer);
        for (String own : List.of("localhost:80", "127.0.0.1", "[::1]:8080", "pictures.example")) {
            String fine =
                    raw(
                            "GET /v1/models HTTP/1.1\r\nHost: "
                                    + own
                                    + "\r\nConnection: close\r\n\r\n");
            assertTrue(fine.startsWith("HTTP/1.1 200 "), fine);
        }
    }

    @Test
    void pagesOfOtherSitesAreRefused() {
        HttpResponse<String> response =
                open.send(
                        open.request("/asg/v1/jobs")
                                .header("Origin", "https://evil.example")
                                .POST(BodyPublishers.ofString("{\"prompt\":\"x\"}")));
        assertEquals(403, response.statusCode());
        String own = open.server.uri().toString().replaceFirst("/$", "");
        assertEquals(
                200,
                open.send(open.request("/asg/v1/capabilities").header("Origin", own)).statusCode());
        HttpResponse<String> preflight =
                open.send(
                        open.request("/asg/v1/jobs")
                                .header("Origin", own)
                                .method("OPTIONS", BodyPublishers.noBody()));
        assertEquals(405, preflight.statusCode());
        assertTrue(preflight.headers().firstValue("Access-Control-Allow-Origin").isEmpty());
    }

    @Test
    void formIsNoJson() {
        HttpResponse<String> response =
                open.send(
                        java.net.http.HttpRequest.newBuilder(open.uri("/asg/v1/jobs"))
                                .header("Content-Type", "text/plain")
                                .POST(BodyPublishers.ofString("{\"prompt\":\"x\"}")));
        assertEquals(415, response.statusCode(), response::body);
    }

    @Test
    void keyIsNeededForAllButHealthAndPage() {
        for (String path : List.of("/v1/models", "/asg/v1/jobs", "/metrics")) {
            HttpResponse<String> without = keyed.get(path);
            assertEquals(401, without.statusCode(), path);
            assertEquals("Bearer", without.headers().firstValue("WWW-Authenticate").orElseThrow());
            assertEquals("invalid_api_key", json(without).path("error").path("code").asText());
            for (String wrong : List.of("Bearer secret-of-anne", "Bearer", "Basic !", "")) {
                assertEquals(
                        401,
                        keyed.send(keyed.request(path).header("Authorization", wrong))
                                .statusCode());
            }
            String basic =
                    Base64.getEncoder()
                            .encodeToString("any:secret-of-bob".getBytes(StandardCharsets.UTF_8));
            for (String right :
                    List.of("Bearer secret-of-ann", "bearer secret-of-bob", "Basic " + basic)) {
                assertEquals(
                        200,
                        keyed.send(keyed.request(path).header("Authorization", right))
                                .statusCode());
            }
        }
        assertEquals(200, keyed.get("/health/ready").statusCode());
    }

    private static HttpResponse<String> asAnn(String body) {
        return keyed.send(
                keyed.request("/asg/v1/jobs")
                        .header("Authorization", "Bearer secret-of-ann")
                        .POST(BodyPublishers.ofString(body)));
    }

    @Test
    void limitsAreThoseOfTheKey() throws IOException {
        HttpResponse<String> pixels = asAnn("{\"prompt\":\"x\",\"size\":\"256x256\"}");
        assertEquals(400, pixels.statusCode());
        assertTrue(pixels.body().contains("65536 pixels"), pixels::body);
        HttpResponse<String> steps = asAnn("{\"prompt\":\"x\",\"size\":\"128x128\",\"steps\":11}");
        assertEquals(400, steps.statusCode());
        assertTrue(steps.body().contains("up to 4"), steps::body);
        // the bundle's default counts too
        HttpResponse<String> unsaid = asAnn("{\"prompt\":\"x\",\"size\":\"128x128\"}");
        assertEquals(400, unsaid.statusCode(), unsaid::body);
        // of a part of a picture all of it is sent back
        String large = Base64.getEncoder().encodeToString(blackPng(200, 200));
        HttpResponse<String> part =
                asAnn(
                        "{\"prompt\":\"x\",\"size\":\"128x128\",\"steps\":2,\"image\":\""
                                + large
                                + "\",\"inpaint\":\""
                                + large
                                + "\",\"inpaint_area\":\"masked\"}");
        assertEquals(400, part.statusCode(), part::body);
        assertTrue(part.body().contains("200x200 has 40000 pixels"), part::body);
        keyed.hold();
        String fine = "{\"prompt\":\"x\",\"size\":\"128x128\",\"steps\":2,\"seed\":1}";
        HttpResponse<String> first = asAnn(fine);
        assertEquals(202, first.statusCode(), first::body);
        HttpResponse<String> second = asAnn(fine.replace("1}", "2}"));
        assertEquals(429, second.statusCode());
        assertEquals("too_many_pictures", json(second).path("error").path("code").asText());
        // nobody sees another one's jobs
        String url = json(first).path("url").asText();
        assertEquals(
                404,
                keyed.send(keyed.request(url).header("Authorization", "Bearer secret-of-bob"))
                        .statusCode());
        keyed.go();
    }

    @Test
    void bombOfAPictureIsRefusedByItsHeader() throws IOException {
        byte[] bomb = blackPng(60_000, 60_000);
        assertTrue(bomb.length < 2048, bomb.length + " bytes");
        HttpResponse<String> created =
                open.post(
                        "/asg/v1/jobs",
                        "{\"prompt\":\"x\",\"method\":\"demofusion\",\"size\":\"128x128\",\"image\":"
                            + "{\"base64\":\""
                                + Base64.getEncoder().encodeToString(bomb)
                                + "\"}}");
        assertEquals(202, created.statusCode(), created::body);
        String url = json(created).path("url").asText();
        TestServer.until(() -> json(open.get(url)).path("status").asText().equals("failed"));
        String error = json(open.get(url)).path("error").path("message").asText();
        assertTrue(error.contains("60000"), error);
        assertServes();
    }

    /** Begins like a picture of that size. */
    private static byte[] blackPng(int width, int height) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.write(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'});
        ByteArrayOutputStream header = new ByteArrayOutputStream();
        DataOutputStream fields = new DataOutputStream(header);
        fields.writeInt(width);
        fields.writeInt(height);
        fields.write(new byte[] {1, 0, 0, 0, 0});
        chunk(bytes, "IHDR", header.toByteArray());
        Deflater deflater = new Deflater(9);
        deflater.setInput(new byte[200_000]);
        deflater.finish();
        byte[] data = new byte[1000];
        chunk(bytes, "IDAT", java.util.Arrays.copyOf(data, deflater.deflate(data)));
        chunk(bytes, "IEND", new byte[0]);
        return bytes.toByteArray();
    }

    private static void chunk(OutputStream out, String type, byte[] data) throws IOException {
        DataOutputStream fields = new DataOutputStream(out);
        fields.writeInt(data.length);
        byte[] name = type.getBytes(StandardCharsets.US_ASCII);
        fields.write(name);
        fields.write(data);
        CRC32 crc = new CRC32();
        crc.update(name);
        crc.update(data);
        fields.writeInt((int) crc.getValue());
    }

    @Test
    void manyConnectionsDoNotKeepOthersOut() throws IOException {
        List<Socket> sockets = new ArrayList<>();
        try {
            for (int i = 0; i < 1000; i++) {
                Socket socket =
                        new Socket(InetAddress.getLoopbackAddress(), open.server.uri().getPort());
                socket.getOutputStream().write("GET / HT".getBytes(StandardCharsets.US_ASCII));
                sockets.add(socket);
            }
            assertServes();
        } finally {
            for (Socket socket : sockets) {
                socket.close();
            }
        }
    }

    @Test
    void halfClosedConnectionIsAnswered() throws IOException {
        try (Socket socket =
                new Socket(InetAddress.getLoopbackAddress(), open.server.uri().getPort())) {
            socket.setSoTimeout(20_000);
            socket.getOutputStream()
                    .write(
                            "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                    .getBytes(StandardCharsets.US_ASCII));
            socket.shutdownOutput();
            byte[] answer = socket.getInputStream().readAllBytes();
            assertTrue(new String(answer, StandardCharsets.UTF_8).startsWith("HTTP/1.1 200 "));
        }
    }

    /** What is no form is refused, and the connection goes on with the next request. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "x",
                "--b",
                "--b\r\n\r\n",
                "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na ball",
                "--b\r\nContent-Disposition: form-data\r\n\r\na ball\r\n--b--\r\n",
                "--b\r\nno header\r\n\r\na ball\r\n--b--\r\n"
            })
    void afterABadFormTheConnectionServes(String form) throws IOException {
        String answers =
                raw(
                        "POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\n"
                                + "Content-Type: multipart/form-data; boundary=b\r\n"
                                + "Content-Length: "
                                + form.length()
                                + "\r\n\r\n"
                                + form
                                + "GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
                                + "Connection: close\r\n\r\n");
        assertTrue(answers.startsWith("HTTP/1.1 400 "), answers);
        assertTrue(answers.contains("HTTP/1.1 200 "), answers);
    }

    @Test
    void controlCharactersInAPromptAreNoHarm() {
        HttpResponse<String> response =
                open.post(
                        "/v1/images/generations",
                        "{\"prompt\":\"a\\u0000b\\r"
                                + "\\n"
                                + "X: y<script>\",\"size\":\"64x64\",\"steps\":1}");
        assertEquals(200, response.statusCode(), response::body);
    }

    @Test
    void bodyThatTricklesIsRefused() throws IOException, InterruptedException {
        try (Socket socket =
                new Socket(InetAddress.getLoopbackAddress(), open.server.uri().getPort())) {
            socket.setSoTimeout(20_000);
            OutputStream out = socket.getOutputStream();
            out.write(
                    ("POST /asg/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type:"
                                    + " application/json\r\nContent-Length: 100000\r\n\r\n")
                            .getBytes(StandardCharsets.US_ASCII));
            InputStream in = socket.getInputStream();
            for (int i = 0; in.available() == 0 && i < 100; i++) {
                out.write(' ');
                Thread.sleep(100);
            }
            byte[] answer = in.readNBytes(100);
            assertTrue(
                    new String(answer, StandardCharsets.UTF_8).startsWith("HTTP/1.1 408 "),
                    () -> new String(answer, StandardCharsets.UTF_8));
        }
        assertServes();
    }

    /** What names a file, an address or nothing sensible, in every field that could. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "/asg/v1/jobs|{'prompt':'x','latents':'../../etc/passwd'}|400|names files of the"
                        + " server",
                "/asg/v1/jobs|{'prompt':'x','dump':'/tmp/x'}|400|names files of the server",
                "/asg/v1/jobs|{'prompt':'x','loras':['/etc/passwd']}|400|names files of the server",
                "/asg/v1/jobs|{'prompt':'x','image':'../etc/passwd'}|400|no base64",
                "/asg/v1/jobs|{'prompt':'x','image':{'file':'/etc/passwd'}}|400|no file of the"
                        + " server",
                "/asg/v1/jobs|{'prompt':'x','image':'file:///etc/passwd'}|400|fetches nothing",
                "/asg/v1/jobs|{'prompt':'x','inpaint':'HTTP://localhost/a.png'}|400|fetches"
                        + " nothing",
                "/asg/v1/jobs|{'prompt':'<lora:../../etc/passwd:1>','prompt_syntax':'a1111'}|400|--lora-folder",
                "/v1/images/generations|{'prompt':'x','model':'../../etc/passwd'}|404|no model",
                "/v1/images/generations|{'prompt':'x','seed':1e999}|400|seed",
                "/v1/images/generations|{'prompt':'x','seed':18446744073709551616}|400|seed",
                "/v1/images/generations|{'prompt':'x','steps':1e400}|400|steps",
                "/v1/images/generations|{'prompt':'x','size':'99999999999x8'}|400|size",
                "/v1/images/generations|{'prompt':'x','size':'65536x65536'}|400|",
                "/v1/images/generations|{'prompt':['x']}|400|prompt",
                "/sdapi/v1/txt2img|{'prompt':'x','override_settings':{'sd_model_checkpoint':'../x'}}|404|no"
                    + " model",
                "/sdapi/v1/txt2img|{'prompt':'x','width':512,'height':512,'enable_hr':true,'hr_scale':1e10}|400|",
                "/sdapi/v1/txt2img|{'prompt':'x','batch_size':2147483647}|400|batch_size",
                "/sdapi/v1/img2img|{'prompt':'x','init_images':['https://localhost/a.png']}|400|fetches"
                    + " nothing",
                "/sdapi/v1/img2img|{'prompt':'x','init_images':['data:image/png,a']}|400|data URL",
                "/sdapi/v1/extra-single-image|{'image':'aGFsbG8=','upscaling_resize':1e300}|400|no"
                        + " picture",
                "/sdapi/v1/png-info|{'image':'ftp://localhost/a.png'}|400|is no base64",
                "/sdapi/v1/options|{'sd_model_checkpoint':'../../etc/passwd'}|404|no model",
            })
    void fieldLeadsNowhere(String path, String body, int status, @Nullable String said) {
        HttpResponse<String> response = open.post(path, body.replace('\'', '"'));
        assertEquals(status, response.statusCode(), response::body);
        assertTrue(said == null || response.body().contains(said), response::body);
        assertFalse(response.body().contains("root:"), response::body);
    }

    @Test
    void largestSeedIsDrawnWith() {
        HttpResponse<String> response =
                open.post(
                        "/v1/images/generations",
                        "{\"prompt\":\"x\",\"size\":\"64x64\",\"steps\":1,"
                                + "\"seed\":18446744073709551615}");
        assertEquals(200, response.statusCode(), response::body);
        assertEquals(
                "18446744073709551615", json(response).path("data").get(0).path("seed").asText());
    }

    @Test
    void manyPartsAreRefused() {
        StringBuilder form = new StringBuilder();
        for (int i = 0; i < 200; i++) {
            form.append("--b\r\nContent-Disposition: form-data; name=\"f").append(i);
            form.append("\"\r\n\r\n1\r\n");
        }
        HttpResponse<String> response =
                open.send(
                        java.net.http.HttpRequest.newBuilder(open.uri("/v1/images/edits"))
                                .header("Content-Type", "multipart/form-data; boundary=b")
                                .POST(
                                        BodyPublishers.ofString(
                                                form.append("--b--\r\n").toString())));
        assertEquals(400, response.statusCode(), response::body);
        assertEquals("invalid_form", json(response).path("error").path("code").asText());
        assertServes();
    }

    /** 2,000 chunks of a kilobyte that inflate to a megabyte each. */
    @Test
    void bombOfTextsIsReadUpToALimit() throws IOException {
        Deflater deflater = new Deflater(9);
        deflater.setInput(new byte[1 << 20]);
        deflater.finish();
        byte[] megabyte = new byte[2000];
        int length = deflater.deflate(megabyte);
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        png.write(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'});
        for (int i = 0; i < 2000; i++) {
            ByteArrayOutputStream text = new ByteArrayOutputStream();
            text.write(("key" + i).getBytes(StandardCharsets.US_ASCII));
            text.write(new byte[2]);
            text.write(megabyte, 0, length);
            chunk(png, "zTXt", text.toByteArray());
        }
        HttpResponse<String> response =
                open.post(
                        "/sdapi/v1/png-info",
                        "{\"image\":\""
                                + Base64.getEncoder().encodeToString(png.toByteArray())
                                + "\"}");
        assertEquals(200, response.statusCode());
        assertEquals(1, json(response).path("items").size());
    }
}
