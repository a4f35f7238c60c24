// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * {@code asg serve} under load and under faults: {@code ServiceLoad BUNDLE CLIENTS MINUTES} starts the
 * server, in a process of its own, with one CPU worker, and prints what it saw. Exits with 1 where
 * something is not as it should be. Run by {@code benchmarks/service-load.sh}.
 */
public final class ServiceLoad {
    private static final int SEEDS = 50;
    private static final int LEAVERS = 100;
    private static final int ALONE = 1000;

    /** Of a picture whose UNet calls take long beside everything else. */
    private static final String LARGE = "\"1024x1024\",\"view_batch\":64";

    /**
     * For so many connections to be found closed on a machine that is busy. That a picture ends within one
     * call of the denoiser is told by ManyClientsTest, which counts calls.
     */
    private static final double SLACK_MILLIS = 2000;

    private static final Pattern FILE = Pattern.compile("\"b64_json\":\"([^\"]+)\"");
    private static final Pattern SEED = Pattern.compile("\"seed\":([0-9]+)");
    private static final Pattern CALLS = Pattern.compile("\"unet_runs\":([0-9]+)");
    private static final Pattern UNET = Pattern.compile("\"unet\":([0-9.]+)");
    private static final Pattern TIMING = Pattern.compile("draw;dur=([0-9.]+), file;dur=([0-9.]+)");

    private final Path bundle;
    private final Map<Integer, String> hashes = new ConcurrentHashMap<>();
    private final List<String> faults = new ArrayList<>();
    private final float[] loopValues = new float[8192];
    private Process server;
    private URI address;

    private ServiceLoad(Path bundle) {
        this.bundle = bundle;
    }

    public static void main(String[] arguments) throws Exception {
        ServiceLoad load = new ServiceLoad(Path.of(arguments[0]));
        try {
            load.run(Integer.parseInt(arguments[1]), Double.parseDouble(arguments[2]));
        } finally {
            load.server.destroyForcibly();
        }
        System.exit(load.faults.isEmpty() ? 0 : 1);
    }

    private void run(int clients, double minutes) throws Exception {
        System.out.printf(Locale.ROOT, "start to the first picture: %.1f s%n", start(false));
        sameBytesAsTheCommandLine();
        alone();
        load(clients, minutes);
        leavers();
        killed();
        fullDisk();
    }

    // The server.

    /**
     * Starts a server.
     *
     * @param full whether its log goes to a disk that is full
     * @return seconds to the first picture
     */
    private double start(boolean full) throws Exception {
        long begin = System.nanoTime();
        ProcessBuilder builder =
                new ProcessBuilder(
                                "./asg",
                                "serve",
                                "--model",
                                bundle.toString(),
                                "--devices",
                                "cpu:1",
                                "--port",
                                "0",
                                "--queue",
                                "1000")
                        .redirectOutput(new File(full ? "/dev/full" : "/dev/null"));
        // a heap that is there from the start: what grows then is a leak
        builder.environment().put("ASG_JAVA_OPTS", "-Xms192m -Xmx192m -XX:+AlwaysPreTouch");
        server = builder.start();
        BufferedReader lines = server.errorReader();
        String line = lines.readLine();
        while (line != null && !line.contains("ready, open ")) {
            line = lines.readLine();
        }
        if (line == null) {
            throw new IOException("the server did not start");
        }
        address = URI.create(line.substring(line.indexOf("http")).strip());
        Thread.ofVirtual().start(() -> read(lines));
        try (HttpClient client = HttpClient.newHttpClient()) {
            draw(client, 0);
        }
        return (System.nanoTime() - begin) / 1e9;
    }

    /** Reads what the server prints, so that it never waits for a reader. */
    private static void read(BufferedReader lines) {
        try {
            String line = lines.readLine();
            while (line != null) {
                System.out.println("  server: " + line);
                line = lines.readLine();
            }
        } catch (IOException e) {
            // the process was killed
        }
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(address.resolve(path))
                .header("Content-Type", "application/json");
    }

    private static String ball(int seed, int steps) {
        return ball("\"64x64\"", seed, steps);
    }

    private static String ball(String size, int seed, int steps) {
        return "{\"prompt\":\"a red ball\",\"size\":"
                + size
                + ",\"steps\":"
                + steps
                + ",\"seed\":"
                + seed
                + "}";
    }

    /** Draws a picture, and looks whether it is the one that the seed has always had. */
    private String draw(HttpClient client, int seed) throws IOException, InterruptedException {
        HttpResponse<String> answer =
                client.send(
                        request("/v1/images/generations")
                                .POST(BodyPublishers.ofString(ball(seed, 2)))
                                .build(),
                        HttpResponse.BodyHandlers.ofString());
        String body = answer.body();
        Matcher file = FILE.matcher(body);
        Matcher told = SEED.matcher(body);
        if (answer.statusCode() != 200 || !file.find() || !told.find()) {
            throw new IOException(answer.statusCode() + " " + body);
        }
        String hash = sha256(Base64.getDecoder().decode(file.group(1)));
        String known = hashes.putIfAbsent(seed, hash);
        if (Integer.parseInt(told.group(1)) != seed || (known != null && !known.equals(hash))) {
            fault("seed " + seed + " was answered with another picture");
        }
        return body;
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private synchronized void fault(String what) {
        System.out.println("FAULT at " + java.time.LocalTime.now() + ": " + what);
        faults.add(what);
    }

    private double metric(HttpClient client, String name) throws IOException, InterruptedException {
        String text =
                client.send(request("/metrics").build(), HttpResponse.BodyHandlers.ofString())
                        .body();
        return text.lines()
                .filter(line -> line.startsWith(name))
                .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' '))))
                .sum();
    }

    private long residentMib() throws IOException {
        return ProcessMemory.bytes(server.toHandle(), "VmRSS") >> 20;
    }

    // What is measured.

    private void sameBytesAsTheCommandLine() throws Exception {
        Path file = Files.createTempFile("ball", ".png");
        Process process =
                new ProcessBuilder(
                                "./asg",
                                "generate",
                                "--model",
                                bundle.toString(),
                                "--devices",
                                "cpu:1",
                                "--prompt",
                                "a red ball",
                                "--size",
                                "64x64",
                                "--steps",
                                "2",
                                "--seed",
                                "0",
                                "--out",
                                file.toString())
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .redirectError(ProcessBuilder.Redirect.DISCARD)
                        .start();
        process.waitFor();
        boolean same = sha256(Files.readAllBytes(file)).equals(hashes.get(0));
        Files.delete(file);
        System.out.println("the command line's bytes: " + (same ? "the same" : "others"));
        if (!same) {
            fault("the server draws other bytes than the command line");
        }
    }

    /**
     * One client at a time: what a request takes without a queue, and what of it is neither the picture nor its
     * file; for a small picture and one that takes longer, after as many as the compiler of the server's JVM needs
     * to come to rest. After each picture a loop that always does the same, for about as long: what the machine
     * itself makes of it in the same minutes. No server can be steadier than that.
     */
    private void alone() throws Exception {
        try (HttpClient client = HttpClient.newHttpClient()) {
            alone(client, "64x64", 2, 2000);
            alone(client, "256x256", 10, 800);
        }
    }

    private void alone(HttpClient client, String size, int steps, int warming) throws Exception {
        double[] millis = new double[ALONE];
        double[] drawn = new double[ALONE];
        double[] added = new double[ALONE];
        double[] loops = new double[ALONE];
        double recent = 0;
        for (int i = -warming; i < ALONE; i++) {
            HttpRequest request =
                    request("/v1/images/generations")
                            .POST(BodyPublishers.ofString(ball('"' + size + '"', i & 31, steps)))
                            .build();
            long begin = System.nanoTime();
            HttpResponse<String> answer =
                    client.send(request, HttpResponse.BodyHandlers.ofString());
            double time = (System.nanoTime() - begin) / 1e6;
            recent = i < 0 ? 0.9 * recent + 0.1 * time : recent;
            double loop = i < -1000 ? 0 : loopMillis(recent);
            if (i >= 0) {
                Matcher timing =
                        TIMING.matcher(answer.headers().firstValue("Server-Timing").orElse(""));
                if (!timing.matches()) {
                    throw new IOException(answer.statusCode() + " " + answer.body());
                }
                millis[i] = time;
                drawn[i] = Double.parseDouble(timing.group(1));
                added[i] = time - drawn[i] - Double.parseDouble(timing.group(2));
                loops[i] = loop;
            }
        }
        System.out.printf(
                "alone, %d pictures of %s: %s; the engine alone %s; a loop of vector arithmetic"
                        + " between them %s; added by HTTP %s%n",
                ALONE, size, spread(millis), spread(drawn), spread(loops), spread(added));
    }

    /**
     * Milliseconds of vector arithmetic in one thread's cache, as the networks' is: so much that it takes about
     * {@code aim} on this project's machines.
     */
    private double loopMillis(double aim) {
        long begin = System.nanoTime();
        int turns = (int) (aim * 820);
        for (int k = 0; k < turns; k++) {
            for (int i = 0; i < loopValues.length; i++) {
                loopValues[i] = loopValues[i] * 0.999f + i * 1e-3f;
            }
        }
        return (System.nanoTime() - begin) / 1e6;
    }

    private static String spread(double[] millis) {
        double[] sorted = millis.clone();
        Arrays.sort(sorted);
        double p50 = sorted[sorted.length / 2];
        double p99 = sorted[sorted.length * 99 / 100];
        return String.format(
                Locale.ROOT, "p50 %.1f ms, p99 %.1f ms, p99/p50 %.2f", p50, p99, p99 / p50);
    }

    private void load(int clients, double minutes) throws Exception {
        AtomicInteger sent = new AtomicInteger();
        AtomicInteger answered = new AtomicInteger();
        ConcurrentLinkedQueue<Double> seconds = new ConcurrentLinkedQueue<>();
        List<Long> resident = new ArrayList<>();
        double before;
        double nativeBefore;
        try (HttpClient watcher = HttpClient.newHttpClient();
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            String counter =
                    "asg_http_time_seconds_count{route=\"/v1/images/generations\",status=\"200\"";
            before = metric(watcher, counter);
            nativeBefore = metric(watcher, "asg_native_bytes");
            long end = System.nanoTime() + (long) (minutes * 60e9);
            for (int i = 0; i < clients; i++) {
                int number = i;
                threads.execute(
                        () -> {
                            try (HttpClient client = HttpClient.newHttpClient()) {
                                for (int k = 0; System.nanoTime() < end; k++) {
                                    long begin = System.nanoTime();
                                    sent.incrementAndGet();
                                    draw(client, (number * 31 + k) % SEEDS);
                                    answered.incrementAndGet();
                                    seconds.add((System.nanoTime() - begin) / 1e9);
                                }
                            } catch (IOException | InterruptedException e) {
                                fault("a request was not answered: " + e);
                            }
                        });
            }
            while (System.nanoTime() < end) {
                Thread.sleep((long) Math.clamp(minutes * 3000, 1000, 60_000));
                resident.add(residentMib());
            }
            threads.shutdown();
            threads.awaitTermination(10, TimeUnit.MINUTES);
            double counted = metric(watcher, counter) - before;
            double nativeAfter = metric(watcher, "asg_native_bytes");
            double[] sorted = seconds.stream().mapToDouble(s -> s).sorted().toArray();
            System.out.printf(
                    Locale.ROOT,
                    "%d clients, %.1f minutes: %d sent, %d answered, %.0f counted by the server;"
                        + " p50 %.2f s, p99 %.2f s with the queue; RSS MiB %s; native bytes %.0f,"
                        + " then %.0f%n",
                    clients,
                    minutes,
                    sent.get(),
                    answered.get(),
                    counted,
                    sorted[sorted.length / 2],
                    sorted[sorted.length * 99 / 100],
                    resident,
                    nativeBefore,
                    nativeAfter);
            if (sent.get() != answered.get() || counted != sent.get()) {
                fault("requests were lost or answered twice");
            }
            if (nativeAfter != nativeBefore) {
                fault("native memory stayed");
            }
        }
    }

    // Faults.

    /** Clients that send a long request of their own each and leave while the first is drawn. */
    private void leavers() throws Exception {
        List<Socket> sockets = new ArrayList<>();
        try (HttpClient watcher = HttpClient.newHttpClient()) {
            double call = millisOfCall(watcher);
            for (int i = 0; i < LEAVERS; i++) {
                String body = ball(LARGE, 1000 + i, 900);
                Socket socket = new Socket(address.getHost(), address.getPort());
                socket.getOutputStream()
                        .write(
                                ("POST /v1/images/generations HTTP/1.1\r\n"
                                                + "Host: localhost\r\n"
                                                + "Content-Type: application/json\r\n"
                                                + "Content-Length: "
                                                + body.length()
                                                + "\r\n\r\n"
                                                + body)
                                        .getBytes(StandardCharsets.US_ASCII));
                sockets.add(socket);
            }
            long limit = System.nanoTime() + 120_000_000_000L;
            while (metric(watcher, "asg_queue_length") < LEAVERS - 2) {
                if (System.nanoTime() > limit) {
                    fault("not all clients that are to leave came into the queue");
                    break;
                }
                Thread.sleep(5);
            }
            double busy = metric(watcher, "asg_busy_seconds_total");
            long begin = System.nanoTime();
            for (Socket socket : sockets) {
                socket.close();
            }
            long left = System.nanoTime();
            double closed = (left - begin) / 1e6;
            while (metric(watcher, "asg_drawing") + metric(watcher, "asg_queue_length") > 0) {
                if (System.nanoTime() - begin > 30_000_000_000L) {
                    fault("the engine went on drawing for clients that had left");
                    return;
                }
            }
            double idle = (System.nanoTime() - left) / 1e6;
            System.out.printf(
                    Locale.ROOT,
                    "%d clients left in mid-picture: closed in %.1f ms, the engine idle %.1f ms"
                            + " after the last; devices worked %.1f ms of it, a UNet call takes"
                            + " %.1f ms%n",
                    LEAVERS,
                    closed,
                    idle,
                    1000 * (metric(watcher, "asg_busy_seconds_total") - busy),
                    call);
            if (idle > call + SLACK_MILLIS) {
                fault("the engine went on drawing for clients that had left");
            }
        }
    }

    /** Mean time of a call of the denoiser in a picture of {@link #LARGE}. */
    private double millisOfCall(HttpClient client) throws IOException, InterruptedException {
        String body =
                client.send(
                                request("/v1/images/generations")
                                        .POST(BodyPublishers.ofString(ball(LARGE, 1, 2)))
                                        .build(),
                                HttpResponse.BodyHandlers.ofString())
                        .body();
        Matcher calls = CALLS.matcher(body);
        Matcher time = UNET.matcher(body);
        if (!calls.find() || !time.find()) {
            throw new IOException("no report: " + body);
        }
        return Double.parseDouble(time.group(1)) / Integer.parseInt(calls.group(1));
    }

    private void killed() throws Exception {
        try (HttpClient client = HttpClient.newHttpClient()) {
            var open =
                    client.sendAsync(
                            request("/v1/images/generations")
                                    .POST(BodyPublishers.ofString(ball(1, 900)))
                                    .build(),
                            HttpResponse.BodyHandlers.ofString());
            while (metric(client, "asg_drawing") == 0) {
                Thread.sleep(5);
            }
            server.destroyForcibly().waitFor();
            try {
                open.join();
                fault("a killed server answered");
            } catch (java.util.concurrent.CompletionException e) {
                // the client is told
            }
        }
        System.out.printf(
                Locale.ROOT,
                "killed at work; started again to the first picture: %.1f s%n",
                start(false));
    }

    private void fullDisk() throws Exception {
        server.destroy();
        server.waitFor();
        start(true);
        try (HttpClient client = HttpClient.newHttpClient()) {
            for (int seed = 0; seed < 20; seed++) {
                draw(client, seed);
            }
        }
        System.out.println("log on a full disk: 20 pictures drawn");
        server.destroy();
        int exit = server.waitFor();
        System.out.println("SIGTERM: exit code " + exit);
    }
}
