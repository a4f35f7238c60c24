// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.Tiny;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.BufferedWriter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** Batches in processes of their own, which are killed, or have little disk or memory. */
class BatchProcessTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir Path folder;

    /** The command line over an engine that needs no model. */
    static final class FakeMain {
        private FakeMain() {}

        public static void main(String[] args) {
            Cli cli =
                    new Cli(
                            new FakeEngines(),
                            System.out,
                            System.err,
                            false,
                            () -> FakeEngines.SEED);
            System.exit(cli.run(args));
        }
    }

    private static List<String> java(Class<?> main, List<String> jvm, String... args) {
        List<String> words =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-XX:+UseSerialGC",
                                "-XX:TieredStopAtLevel=1",
                                "--enable-native-access=ALL-UNNAMED",
                                "-Dorg.bytedeco.javacpp.nopointergc=true"));
        words.addAll(jvm);
        words.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
        words.addAll(Arrays.asList(args));
        return words;
    }

    private record Ended(int code, String printed) {}

    private Ended run(List<String> words) throws Exception {
        Path printed = folder.resolve("printed");
        Process process =
                new ProcessBuilder(words)
                        .redirectErrorStream(true)
                        .redirectOutput(printed.toFile())
                        .start();
        try {
            assertTrue(process.waitFor(120, TimeUnit.SECONDS), "still running");
            return new Ended(process.exitValue(), Files.readString(printed));
        } finally {
            process.destroyForcibly();
        }
    }

    private static String here(EngineFactory engines, String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Cli cli =
                new Cli(
                        engines,
                        new PrintStream(out, true, StandardCharsets.UTF_8),
                        new PrintStream(err, true, StandardCharsets.UTF_8),
                        false,
                        () -> 1);
        assertEquals(0, cli.run(args), () -> err.toString(StandardCharsets.UTF_8));
        return out.toString(StandardCharsets.UTF_8);
    }

    /** All files but the log. */
    private static Map<String, String> contents(Path out) throws IOException {
        Map<String, String> contents = new TreeMap<>();
        try (Stream<Path> files = Files.list(out)) {
            for (Path file : files.toList()) {
                if (!file.endsWith("log.jsonl")) {
                    byte[] bytes = Files.readAllBytes(file);
                    contents.put(
                            file.getFileName().toString(),
                            new String(bytes, StandardCharsets.ISO_8859_1));
                }
            }
        }
        return contents;
    }

    private static long lines(Path file) throws IOException {
        if (!Files.exists(file)) {
            return 0;
        }
        try (Stream<String> lines = Files.lines(file)) {
            return lines.count();
        }
    }

    private String[] tiny(Path out) {
        return new String[] {
            "batch",
            "--in",
            folder.resolve("rows.csv").toString(),
            "--out",
            out.toString(),
            "--model",
            Tiny.bundle().toString(),
            "--devices",
            "cpu:1",
            "--size",
            "128x128",
            "--format",
            "tar",
            "--pictures-per-file",
            "5"
        };
    }

    @Test
    void killedAtAnyMomentAndResumedItBecomesTheSame() throws Exception {
        StringBuilder rows = new StringBuilder("prompt,steps\n");
        for (int i = 0; i < 14; i++) {
            rows.append("a red ball ").append(i % 11).append(",4\n");
        }
        Files.writeString(folder.resolve("rows.csv"), rows);
        Path whole = folder.resolve("whole");
        here(EngineFactory.real(), tiny(whole));

        Path out = folder.resolve("killed");
        Random random = new Random(Long.getLong("asg.test.seed", 20261129));
        for (int kill = 1; kill <= 3; kill++) {
            Process process =
                    new ProcessBuilder(java(Main.class, List.of(), tiny(out)))
                            .redirectErrorStream(true)
                            .redirectOutput(folder.resolve("printed").toFile())
                            .start();
            long until = 3L * kill;
            while (process.isAlive() && lines(out.resolve("records.jsonl")) < until) {
                process.waitFor(2, TimeUnit.MILLISECONDS);
            }
            process.waitFor(random.nextInt(60), TimeUnit.MILLISECONDS);
            process.destroyForcibly().waitFor(); // SIGKILL
        }
        here(EngineFactory.real(), tiny(out));
        assertEquals(contents(whole), contents(out));
        long drawn;
        try (Stream<String> log = Files.lines(out.resolve("log.jsonl"))) {
            drawn = log.filter(line -> line.startsWith("{\"picture\"")).count();
        }
        assertTrue(drawn <= 11 + 3, drawn + " drawn: at most the picture in work twice a kill");

        JsonNode record = JSON.readTree(Files.readAllLines(out.resolve("records.jsonl")).get(2));
        Path picture = folder.resolve("generated.png");
        JsonNode generated =
                JSON.readTree(
                        here(
                                EngineFactory.real(),
                                "generate",
                                "--prompt",
                                "a red ball 2",
                                "--steps",
                                "4",
                                "--size",
                                "128x128",
                                "--seed",
                                record.get("request").get("seed").asText(),
                                "--model",
                                Tiny.bundle().toString(),
                                "--devices",
                                "cpu:1",
                                "--json",
                                "--out",
                                picture.toString()));
        assertEquals(generated.get("pixels_sha256"), record.get("pixels_sha256"));
        byte[] png = Files.readAllBytes(picture);
        byte[] tar = Files.readAllBytes(out.resolve(record.get("file").asText()));
        int offset = record.get("offset").intValue();
        assertEquals(png.length, record.get("bytes").intValue());
        assertTrue(
                Arrays.equals(png, Arrays.copyOfRange(tar, offset, offset + png.length)),
                "the file that generate writes");
    }

    /** A limit of the file size is a disk that is full in the middle of a line. */
    @Test
    void aFullDiskEndsItAndItGoesOnWhenThereIsRoom() throws Exception {
        Path rows = folder.resolve("rows.txt");
        List<String> prompts = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            prompts.add("a red ball " + i);
        }
        Files.write(rows, prompts);
        Path whole = folder.resolve("whole");
        Path out = folder.resolve("full");
        here(new FakeEngines(), "batch", "--in", rows.toString(), "--out", whole.toString());
        List<String> limited =
                new ArrayList<>(List.of("bash", "-c", "ulimit -f 4; exec \"$@\"", "-"));
        limited.addAll(
                java(
                        FakeMain.class,
                        List.of("-XX:-UsePerfData"),
                        "batch",
                        "--in",
                        rows.toString(),
                        "--out",
                        out.toString()));
        Ended ended = run(limited);
        assertEquals(ExitCode.OUTPUT, ended.code(), ended.printed());
        assertTrue(ended.printed().contains("cannot write '" + out), ended.printed());
        assertTrue(ended.printed().contains("the same command goes on"), ended.printed());
        long records = lines(out.resolve("records.jsonl"));
        assertTrue(records > 2 && records < 20, records + " records");
        here(new FakeEngines(), "batch", "--in", rows.toString(), "--out", out.toString());
        assertEquals(contents(whole), contents(out));
    }

    @Test
    void aBadValueInRow500000IsFoundInLittleMemory() throws Exception {
        Path rows = folder.resolve("rows.csv");
        try (BufferedWriter csv = Files.newBufferedWriter(rows)) {
            csv.write("prompt,steps\n");
            for (int i = 1; i <= 500_010; i++) {
                csv.write("a red ball on grass with the number " + i + " among many others,");
                csv.write(i == 500_000 ? "many\n" : "20\n");
            }
        }
        assertTrue(Files.size(rows) > 30 << 20, "more than the heap");
        Path out = folder.resolve("out");
        Ended ended =
                run(
                        java(
                                FakeMain.class,
                                List.of("-Xmx28m"),
                                "batch",
                                "--in",
                                rows.toString(),
                                "--out",
                                out.toString(),
                                "--shard",
                                "499999/500000"));
        assertEquals(ExitCode.PICTURES, ended.code(), ended.printed());
        Path shard = out.resolve("shard-499999-of-500000");
        JsonNode record = JSON.readTree(Files.readString(shard.resolve("records.jsonl")));
        assertEquals(500_000, record.get("row").intValue());
        assertEquals(
                "\"steps\": 'many' is no whole number, as in 20", record.get("error").asText());
    }
}
