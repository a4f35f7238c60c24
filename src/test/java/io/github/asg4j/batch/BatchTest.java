// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import dev.hardwood.InputFile;
import dev.hardwood.reader.ParquetFileReader;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.OutputException;
import io.github.asg4j.Reports;
import io.github.asg4j.RequestJson;
import io.github.asg4j.Size;
import io.github.asg4j.image.PictureEncoding;
import io.github.asg4j.image.PictureTexts;

import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;

/** What a batch leaves in its folder, however it was interrupted. */
class BatchTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Of a process that is not there. */
    private static final String HALF = ".asg-" + (1L << 40) + "-1.tmp";

    @TempDir Path folder;
    private final FakeDrawing drawing = new FakeDrawing();

    private static PictureFormat format(String text) {
        String[] words = text.split(" ");
        PictureEncoding encoding =
                words.length < 3
                        ? PictureEncoding.PNG
                        : PictureEncoding.of(PictureEncoding.Format.valueOf(words[2]));
        return words.length == 1
                ? PictureFormat.PNG
                : new PictureFormat(
                        PictureFormat.Kind.valueOf(words[0]), Integer.parseInt(words[1]), encoding);
    }

    /**
     * @param format as in "PNG", "TAR 2" and "TAR 2 WEBP"
     */
    private BatchOptions options(String out, String format, String... rows) throws IOException {
        Path input = folder.resolve("rows.txt");
        Files.write(input, List.of(rows));
        return new BatchOptions(
                input,
                folder.resolve(out),
                List.of(),
                List.of(Setting.NONE),
                List.of(),
                1,
                Shard.ALL,
                format(format),
                false);
    }

    private static BatchOptions with(BatchOptions o, Path out, Shard shard, boolean failFast) {
        return new BatchOptions(
                o.input(),
                out,
                o.defaults(),
                o.settings(),
                o.methods(),
                o.seeds(),
                shard,
                o.format(),
                failFast);
    }

    private List<BatchProgress> draw(BatchOptions options) {
        List<BatchProgress> told = new ArrayList<>();
        try (Batch batch = Batch.open(options, Reports.engine(new Size(8, 8)))) {
            batch.draw(drawing, told::add);
        }
        return told;
    }

    private static List<JsonNode> records(Path out) throws IOException {
        List<JsonNode> records = new ArrayList<>();
        for (String line : Files.readAllLines(out.resolve(Records.FILE))) {
            records.add(JSON.readTree(line));
        }
        return records;
    }

    /** All files but the log, by their names. */
    private static Map<String, String> contents(Path out) throws IOException {
        Map<String, String> contents = new TreeMap<>();
        try (Stream<Path> files = Files.list(out)) {
            for (Path file : files.toList()) {
                if (!file.endsWith(RunLog.FILE)) {
                    contents.put(file.getFileName().toString(), Sha256.of(file));
                }
            }
        }
        return contents;
    }

    private static String refusal(BatchOptions options) {
        return assertThrows(
                        BadRequestException.class,
                        () -> Batch.open(options, Reports.engine(new Size(8, 8))).close())
                .getMessage();
    }

    @Test
    void aRecordSaysWhatWasDrawnAndWhereItIs() throws IOException {
        BatchOptions options = options("out", "PNG", "a red ball");
        draw(options);
        JsonNode record = records(options.out()).getFirst();
        assertEquals(1, record.get("picture").intValue());
        assertEquals(1, record.get("row").intValue());
        String key = record.get("key").asText();
        byte[] png = Files.readAllBytes(options.out().resolve(key + ".png"));
        assertEquals(key + ".png", record.get("file").asText());
        assertEquals(png.length, record.get("bytes").intValue());
        assertEquals(Sha256.of(png), record.get("sha256").asText());
        assertArrayEquals(
                drawing.apply(drawing.requests.getFirst()).join().png(), png, "as generate writes");
        assertEquals(
                drawing.requests.getFirst(), RequestJson.read(record.get("request").toString()));
    }

    @Test
    void theKeyIsTheHashOfWhatDeterminesThePicture() throws IOException {
        BatchOptions options = options("out", "PNG", "a red ball");
        draw(options);
        String known =
                "{\"request\":{\"prompt\":\"a red ball\",\"method\":\"asg\",\"seed\":"
                        + Variants.seed("a red ball")
                        + "},\"inputs\":{},\"bundle_sha256\":\""
                        + "0".repeat(64)
                        + "\",\"threads_per_worker\":1,\"version\":\""
                        + io.github.asg4j.Engine.version()
                        + "\"}";
        JsonNode record = records(options.out()).getFirst();
        JsonNode request = record.get("request");
        assertEquals(
                JSON.readTree(known).get("request").get("prompt"), request.get("prompt"), "prompt");
        String written =
                "{\"request\":" + request + known.substring(known.indexOf("},\"inputs\"") + 1);
        assertEquals(
                Sha256.of(written.getBytes(StandardCharsets.UTF_8)), record.get("key").asText());
    }

    @Test
    void duplicateRowsAreDrawnOnce() throws IOException {
        BatchOptions options = options("out", "PNG", "a", "b", "a", "a", "b");
        draw(options);
        assertEquals(List.of("a", "b"), drawing.prompts());
        List<JsonNode> records = records(options.out());
        assertEquals(5, records.size());
        assertEquals(1, records.get(3).get("duplicate_of").intValue());
        assertEquals(records.get(1).get("sha256"), records.get(4).get("sha256"));
        assertEquals(records.get(1).get("file"), records.get(4).get("file"));
    }

    @Test
    void rowsThatCannotBeDrawnHaveARecordAndTheOthersGoOn() throws IOException {
        BatchOptions options = options("out", "PNG", "a", "unheard", "unseen", "unseen", "b");
        List<BatchProgress> told = draw(options);
        assertEquals(3, told.getLast().errors());
        assertEquals(2, told.getLast().drawn());
        List<JsonNode> records = records(options.out());
        assertEquals("unheard of", records.get(1).get("error").asText());
        assertEquals("unseen", records.get(2).get("error").asText());
        assertEquals("unseen", records.get(3).get("error").asText());
        assertEquals(3, records.get(2).get("row").intValue());
        assertFalse(records.get(2).has("file"));
        assertTrue(records.get(4).has("file"));
    }

    @Test
    void failFastStopsBeforeTheFirstBadRowAndGoesOnWithoutIt() throws IOException {
        BatchOptions options = options("out", "PNG", "a", "unheard", "b");
        BatchOptions fast = with(options, options.out(), Shard.ALL, true);
        assertEquals(
                "row 2: unheard of",
                assertThrows(BadRequestException.class, () -> draw(fast)).getMessage());
        assertEquals(1, records(options.out()).size());
        draw(options);
        assertEquals(3, records(options.out()).size());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"PNG", "TAR 1", "TAR 2", "TAR 100", "PARQUET 1", "PARQUET 2", "PARQUET 100"})
    void resumedAfterAnyByteOfTheRecordsItBecomesTheSame(String format) throws IOException {
        String[] rows = {"a", "unheard", "b", "a", "gr\u00fcn", "d", "b", "e"};
        BatchOptions whole = options("whole", format, rows);
        draw(whole);
        Map<String, String> expected = contents(whole.out());
        byte[] records = Files.readAllBytes(whole.out().resolve(Records.FILE));
        for (int cut = 0; cut <= records.length; cut += 97) {
            Path out = folder.resolve("cut" + cut);
            Files.createDirectories(out);
            try (Stream<Path> files = Files.list(whole.out())) {
                for (Path file : files.toList()) {
                    Files.copy(file, out.resolve(file.getFileName()));
                }
            }
            // Pictures may be ahead of their records, and half of one may be there.
            Files.write(out.resolve(Records.FILE), Arrays.copyOf(records, cut));
            Files.writeString(out.resolve(HALF), "half");
            drawing.requests.clear();
            draw(with(whole, out, Shard.ALL, false));
            if (!format.equals("PNG")) {
                Files.delete(out.resolve(HALF));
            }
            assertEquals(expected, contents(out), "cut at " + cut);
            int complete =
                    (int)
                            new String(records, 0, cut, StandardCharsets.UTF_8)
                                    .chars()
                                    .filter(c -> c == '\n')
                                    .count();
            assertTrue(drawing.requests.size() <= rows.length - complete, "none drawn twice");
        }
        drawing.requests.clear();
        draw(whole);
        assertEquals(List.of(), drawing.requests, "a batch that is done draws nothing");
        assertEquals(expected, contents(whole.out()));
    }

    @Test
    void tarFilesHoldPictureRequestAndPrompt() throws IOException {
        BatchOptions options = options("out", "TAR 2", "a red ball", "grün", "c");
        draw(options);
        List<JsonNode> records = records(options.out());
        assertEquals("000000.tar", records.get(1).get("file").asText());
        assertEquals("000001.tar", records.get(2).get("file").asText());
        Map<String, byte[]> entries = new LinkedHashMap<>();
        try (TarArchiveInputStream tar =
                new TarArchiveInputStream(
                        Files.newInputStream(options.out().resolve("000000.tar")))) {
            for (TarArchiveEntry e = tar.getNextEntry(); e != null; e = tar.getNextEntry()) {
                assertEquals(0, e.getLastModifiedTime().toMillis());
                entries.put(e.getName(), tar.readAllBytes());
            }
        }
        assertEquals(6, entries.size());
        String key = records.get(1).get("key").asText();
        byte[] png = entries.get(key + ".png");
        assertEquals(records.get(1).get("sha256").asText(), Sha256.of(png));
        assertEquals("grün", new String(entries.get(key + ".txt"), StandardCharsets.UTF_8));
        assertEquals(
                records.get(1).get("request"),
                JSON.readTree(entries.get(key + ".json")).get("request"));
        try (RandomAccessFile tar =
                new RandomAccessFile(options.out().resolve("000000.tar").toFile(), "r")) {
            byte[] part = new byte[png.length];
            tar.seek(records.get(1).get("offset").longValue());
            tar.readFully(part);
            assertArrayEquals(png, part);
        }
    }

    @Test
    void parquetFilesHoldATableOfPictures() throws IOException {
        BatchOptions options = options("out", "PARQUET 20", words(23));
        draw(options);
        List<JsonNode> records = records(options.out());
        assertEquals("000000.parquet", records.get(19).get("file").asText());
        assertEquals("000001.parquet", records.get(20).get("file").asText());
        int row = 0;
        for (String name : new String[] {"000000.parquet", "000001.parquet"}) {
            byte[] bytes = Files.readAllBytes(options.out().resolve(name));
            try (ParquetFileReader parquet =
                            ParquetFileReader.open(InputFile.of(options.out().resolve(name)));
                    dev.hardwood.reader.RowReader rows = parquet.rowReader()) {
                while (rows.hasNext()) {
                    rows.next();
                    JsonNode record = records.get(row++);
                    byte[] png = rows.getBinary("png");
                    assertEquals(record.get("key").asText(), rows.getString("key"));
                    assertEquals(record.get("request"), JSON.readTree(rows.getString("request")));
                    assertEquals(png.length, rows.getInt("bytes"));
                    assertEquals(Sha256.of(png), rows.getString("sha256"));
                    assertEquals(record.get("sha256").asText(), rows.getString("sha256"));
                    assertEquals(
                            record.get("pixels_sha256").asText(), rows.getString("pixels_sha256"));
                    int offset = record.get("offset").intValue();
                    assertArrayEquals(png, Arrays.copyOfRange(bytes, offset, offset + png.length));
                }
            }
        }
        assertEquals(23, row);

        // A record that is not that of its picture would make an end that lies.
        Path file = options.out().resolve(Records.FILE);
        List<String> lines = new ArrayList<>(Files.readAllLines(file));
        lines.set(20, lines.get(20).replaceFirst("\"bytes\":", "\"bytes\":1"));
        Files.write(file, lines);
        String refusal = refusal(options);
        assertTrue(refusal.contains("does not say where it is in '000001.parquet'"), refusal);
    }

    private static String[] words(int count) {
        String[] words = new String[count];
        Arrays.setAll(words, i -> "ball " + i + (i % 2 == 0 ? "" : " gr\u00fcn"));
        return words;
    }

    @ParameterizedTest
    @ValueSource(strings = {"FILES 1 WEBP", "FILES 1 JPEG", "TAR 2 WEBP", "PARQUET 2 WEBP"})
    void picturesAreWrittenAsAskedAndWithTheirSettings(String format) throws IOException {
        BatchOptions options = options("out", format, "a red ball", "b");
        draw(options);
        String word = options.format().encoding().format().word();
        for (JsonNode record : records(options.out())) {
            byte[] all = Files.readAllBytes(options.out().resolve(record.get("file").asText()));
            int offset = record.path("offset").asInt();
            byte[] picture =
                    Arrays.copyOfRange(all, offset, offset + record.get("bytes").intValue());
            assertEquals(record.get("sha256").asText(), Sha256.of(picture));
            assertTrue(PictureTexts.of(picture).get("parameters").contains("Steps: "));
            String file = record.get("file").asText();
            String ending = options.format().encoding().format().ending();
            switch (options.format().kind()) {
                case FILES -> assertTrue(file.endsWith(ending), file);
                case TAR ->
                        assertTrue(tarNames(options).contains(record.get("key").asText() + ending));
                case PARQUET -> {
                    try (ParquetFileReader parquet =
                            ParquetFileReader.open(
                                    InputFile.of(options.out().resolve("000000.parquet")))) {
                        try (dev.hardwood.reader.RowReader rows = parquet.rowReader()) {
                            rows.next();
                            assertEquals(rows.getInt("bytes"), rows.getBinary(word).length);
                        }
                    }
                }
            }
        }
        Map<String, String> before = contents(options.out());
        draw(options);
        assertEquals(before, contents(options.out()));
        assertTrue(
                refusal(
                                options(
                                        "out",
                                        format.replace(word.toUpperCase(Locale.ROOT), "PNG"),
                                        "a red ball",
                                        "b"))
                        .contains("\"format\" is"));
    }

    private static List<String> tarNames(BatchOptions options) throws IOException {
        List<String> names = new ArrayList<>();
        try (TarArchiveInputStream tar =
                new TarArchiveInputStream(
                        Files.newInputStream(options.out().resolve("000000.tar")))) {
            for (TarArchiveEntry entry = tar.getNextEntry();
                    entry != null;
                    entry = tar.getNextEntry()) {
                names.add(entry.getName());
            }
        }
        return names;
    }

    @Test
    void filesOfOthersStayAndAreRefused() throws IOException {
        BatchOptions options = options("out", "TAR 2", "a");
        Files.createDirectories(options.out());
        Path other = Files.writeString(options.out().resolve("000007.tar"), "other");
        String refusal = refusal(options);
        assertTrue(refusal.contains("000007.tar' is there already"), refusal);
        assertEquals("other", Files.readString(other));
        assertFalse(Files.exists(options.out().resolve(BatchFile.FILE)));
        // A reader of the folder would take a table of Spark and the batch's files for one.
        Files.writeString(options.out().resolve("part-00000-c000.snappy.parquet"), "other");
        assertTrue(refusal(options("out", "PARQUET 2", "a")).contains("parquet' is there already"));
    }

    @Test
    void halvesOfFilesOfLivingProcessesStay() throws IOException {
        BatchOptions options = options("out", "PNG", "a");
        Files.createDirectories(options.out());
        long parent = ProcessHandle.current().parent().orElseThrow().pid();
        Path living = Files.writeString(options.out().resolve(".asg-" + parent + "-1.tmp"), "");
        Path dead = Files.writeString(options.out().resolve(".asg-" + (1L << 40) + "-1.tmp"), "");
        draw(options);
        assertTrue(Files.exists(living));
        assertFalse(Files.exists(dead));
    }

    @Test
    void theNextPictureIsAskedForBeforeTheLastIsWritten() throws IOException {
        BatchOptions options = options("out", "PNG", "a", "b", "c", "d");
        List<Integer> asked = new ArrayList<>();
        drawing.whileDrawing = () -> asked.add(drawing.requests.size());
        draw(options);
        assertEquals(List.of(2, 3, 4, 4), asked);
    }

    @Test
    void shardsTogetherAreTheWhole() throws IOException {
        BatchOptions one = options("whole", "PNG", "a", "unheard", "b", "c", "d");
        BatchOptions options =
                new BatchOptions(
                        one.input(),
                        one.out(),
                        List.of(),
                        List.of(
                                new Setting("x", List.of()),
                                new Setting(
                                        "y",
                                        List.of(
                                                Given.text(
                                                        Given.option("steps").orElseThrow(),
                                                        "3")))),
                        List.of(),
                        2,
                        Shard.ALL,
                        PictureFormat.PNG,
                        false);
        draw(options);
        Map<Integer, JsonNode> expected = new TreeMap<>();
        records(options.out()).forEach(r -> expected.put(r.get("picture").intValue(), r));
        assertEquals(20, expected.size());
        Map<Integer, JsonNode> union = new TreeMap<>();
        Set<String> files = new HashSet<>();
        for (int i = 0; i < 3; i++) {
            BatchOptions shard = with(options, folder.resolve("shards"), new Shard(i, 3), false);
            List<BatchProgress> told = draw(shard);
            assertEquals(told.getLast().of(), told.getLast().done());
            records(shard.folder()).forEach(r -> union.put(r.get("picture").intValue(), r));
            contents(shard.folder()).keySet().stream()
                    .filter(name -> name.endsWith(".png"))
                    .forEach(files::add);
        }
        assertEquals(expected, union);
        assertEquals(
                Set.copyOf(
                        contents(options.out()).keySet().stream()
                                .filter(name -> name.endsWith(".png"))
                                .toList()),
                files);
    }

    @Test
    void aFileWithoutPromptsIsRefusedBeforeAnEngineIsOpened() throws IOException {
        Path input = Files.writeString(folder.resolve("rows.csv"), "steps,seed\n4,1\n");
        BatchOptions none =
                new BatchOptions(
                        input,
                        folder.resolve("out"),
                        List.of(),
                        List.of(Setting.NONE),
                        List.of(),
                        1,
                        Shard.ALL,
                        PictureFormat.PNG,
                        false);
        assertEquals(
                "'"
                        + input
                        + "' has no column \"prompt\": add one, or give all rows one with --prompt",
                assertThrows(BadRequestException.class, () -> Batch.check(none)).getMessage());
        Files.writeString(input, "prompt,seed\n,1\n");
        Batch.check(none); // rows say what they lack
        Files.writeString(input, "steps\n4\n");
        Batch.check(
                new BatchOptions(
                        input,
                        none.out(),
                        List.of(Given.text(Given.option("prompt").orElseThrow(), "a ball")),
                        none.settings(),
                        none.methods(),
                        1,
                        Shard.ALL,
                        PictureFormat.PNG,
                        false));
    }

    @Test
    void anotherBatchsFolderIsRefused() throws IOException {
        BatchOptions options = options("out", "PNG", "a");
        draw(options);
        assertTrue(
                refusal(options("out", "TAR 3", "a")).contains("\"format\" is \"png\" there and"));
        String input = refusal(options("out", "PNG", "b"));
        assertTrue(input.contains("\"input_sha256\" is "), input);
        Files.delete(options.out().resolve(BatchFile.FILE));
        String without = refusal(options("out", "PNG", "a"));
        assertTrue(without.contains("without batch.json"), without);
    }

    @Test
    void aFolderHasOneProcess() throws IOException {
        BatchOptions options = options("out", "PNG", "a");
        try (Batch first = Batch.open(options, Reports.engine(new Size(8, 8)))) {
            assertEquals(1, first.pictures());
            assertTrue(
                    assertThrows(OutputException.class, () -> draw(options))
                            .getMessage()
                            .contains("another batch is writing"));
        }
        draw(options);
    }

    @Test
    void damagedRecordsAreRefusedWithTheLine() throws IOException {
        BatchOptions options = options("out", "PNG", "a", "b");
        draw(options);
        Path file = options.out().resolve(Records.FILE);
        Files.writeString(file, Files.readString(file).replaceFirst("\n", "\n\0\0\n"));
        String refusal = refusal(options);
        assertTrue(refusal.contains("line 2") && refusal.contains("head -n 1"), refusal);
    }

    @Test
    void cancelledKeepsWhatIsThere() throws IOException {
        BatchOptions options = options("out", "PNG", "a", "b", "c");
        try (Batch batch = Batch.open(options, Reports.engine(new Size(8, 8)))) {
            drawing.whileDrawing =
                    () -> {
                        if (batch.done() == 1) {
                            batch.cancel();
                        }
                    };
            assertThrows(CancelledException.class, () -> batch.draw(drawing, told -> {}));
            assertEquals(1, batch.done());
        }
        drawing.whileDrawing = () -> {};
        draw(options);
        assertEquals(3, records(options.out()).size());
    }

    @Test
    void anUnwritableFolderIsAnOutputError() throws IOException {
        BatchOptions options = options("out", "PNG", "a");
        OutputException e =
                assertThrows(
                        OutputException.class,
                        () -> draw(with(options, Path.of("/proc/out"), Shard.ALL, false)));
        assertTrue(e.getMessage().contains("/proc/out"), e.getMessage());
    }

    @Test
    void theLogHasRunsAndTimes() throws IOException {
        BatchOptions options = options("out", "PNG", "a", "b");
        draw(options);
        draw(options);
        List<String> log = Files.readAllLines(options.out().resolve(RunLog.FILE));
        assertEquals(4, log.size());
        assertTrue(log.get(0).startsWith("{\"run\":") && log.get(3).startsWith("{\"run\":"));
        assertEquals(1234.5, JSON.readTree(log.get(2)).get("times_ms").get("total").asDouble());
    }
}
