// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.Tiny;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Rows of the formats, and which message a bad one has. */
class RowReaderTest {
    @TempDir Path folder;

    private Path file(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }

    /** What each row gives, or why it cannot be read. */
    private static List<String> rows(Path file) throws IOException {
        List<String> rows = new ArrayList<>();
        try (RowReader reader = RowReader.open(file)) {
            for (InputRow row = reader.next(); row != null; row = reader.next()) {
                assertEquals(rows.size(), row.number());
                String text;
                try {
                    text = row.given().get().toString();
                } catch (BadRequestException e) {
                    text = e.getMessage();
                }
                rows.add(text);
            }
        }
        return rows;
    }

    private static String refusal(Path file) {
        return assertThrows(BadRequestException.class, () -> rows(file)).getMessage();
    }

    @Test
    void textHasAPromptALine() throws IOException {
        assertEquals(
                List.of("[--prompt=a, b]", "[--prompt=\"c\"]", "[--prompt=grün]"),
                rows(file("p.TXT", "\uFEFFa, b\r\n\n  \n\"c\" \ngrün")));
        Path latin = folder.resolve("latin.txt");
        Files.write(latin, "a\n\ngr\u00fcn\nb\n".getBytes(StandardCharsets.ISO_8859_1));
        assertEquals(List.of("[--prompt=a]", "line 3: not in UTF-8", "[--prompt=b]"), rows(latin));
    }

    @Test
    void aLineBeyondTheLimitIsABadRow() throws IOException {
        Path file = folder.resolve("long.txt");
        byte[] line = new byte[LineRows.MAX_LINE_BYTES + 2];
        java.util.Arrays.fill(line, (byte) 'a');
        line[line.length - 1] = '\n';
        Files.write(file, line);
        Files.writeString(file, "b", java.nio.file.StandardOpenOption.APPEND);
        assertEquals(
                List.of("line 1: longer than 67108864 bytes, the limit", "[--prompt=b]"),
                rows(file));
    }

    @Test
    void jsonLinesHaveTheKeysOfARequest() throws IOException {
        assertEquals(
                List.of(
                        "[--prompt=a, --guide-weight=0.5, --seed=7]",
                        "line 2: no JSON: Unexpected end-of-input within/between Object entries",
                        "line 4: a row is one JSON object, as in {\"prompt\": \"a red ball\"}",
                        "line 5: \"seed\" is null: leave the key out to have the default"),
                rows(
                        file(
                                "p.jsonl",
                                """
                                {"prompt":"a","guide_weight":0.5,"seed":7}
                                {"prompt":

                                [1]
                                {"seed":null}
                                """)));
        String unknown = rows(file("q.ndjson", "{\"promt\":\"a\"}")).getFirst();
        assertTrue(
                unknown.startsWith("line 1: unknown key \"promt\": there are prompt, negative"),
                unknown);
        assertTrue(
                rows(file("r.jsonl", "{\"seed\":1,\"seed\":2}")).getFirst().contains("uplicate"));
        assertTrue(rows(file("s.jsonl", "{\"seed\":1} x")).getFirst().contains("no JSON"));
    }

    @Test
    void csvHasOptionsAsColumns() throws IOException {
        assertEquals(
                List.of(
                        "[--prompt=a, b, --seed=1]",
                        "[--prompt=two\nlines, --guide-weight=0.5]",
                        "1 cells, the header has 3: write a cell with a comma in quotes",
                        "[--prompt=say \"x\"]"),
                rows(
                        file(
                                "p.csv",
                                "\uFEFFprompt,guide_weight, seed\n"
                                        + "\"a, b\",,1\n"
                                        + "\"two\n"
                                        + "lines\",0.5,\n"
                                        + "c\n\n"
                                        + "\"say \"\"x\"\"\",,\n")));
        assertTrue(
                refusal(file("q.csv", "prompt;seed\na;1\n"))
                        .startsWith("unknown column \"prompt;seed\": there are prompt, "));
        assertTrue(refusal(file("r.csv", "seed,seed\n1,2\n")).contains("is there twice"));
        assertTrue(refusal(file("s.csv", "")).contains("is empty"));
        assertTrue(refusal(file("t.csv", "prompt\n\"a\n")).contains("no CSV in row 1"));
        Path latin = folder.resolve("latin.csv");
        Files.write(latin, "prompt\ngr\u00fcn\n".getBytes(StandardCharsets.ISO_8859_1));
        assertTrue(refusal(latin).contains("not in UTF-8"));
    }

    /** Written by src/test/resources/batch/parquet.py. */
    @ParameterizedTest
    @ValueSource(strings = {"none", "snappy", "zstd", "gzip"})
    void parquetHasOptionsAsColumns(String compression) throws IOException {
        assertEquals(
                List.of(
                        "[--prompt=a red ball, --seed=4294967296, --steps=20, --eta=0.1,"
                                + " --guidance-scale=7.5, --paper-defaults=true, --size=64x64]",
                        "[--prompt=grün, --seed=1, --eta=0.5, --guidance-scale=5,"
                                + " --paper-defaults=false]"),
                rows(Tiny.resource("batch").resolve(compression + ".parquet")));
    }

    @Test
    void parquetOfOtherColumnsAndOtherFilesAreRefused() throws IOException {
        assertTrue(
                refusal(Tiny.resource("batch").resolve("unknown.parquet"))
                        .startsWith("unknown column \"caption\": there are prompt"));
        assertEquals(
                "the column \"prompt\" holds lists: write it as text, number or boolean",
                refusal(Tiny.resource("batch").resolve("list.parquet")));
        String no = refusal(file("p.parquet", "PAR1 and no more"));
        assertTrue(no.contains("cannot be read as Parquet"), no);
        byte[] bytes = Files.readAllBytes(Tiny.resource("batch").resolve("snappy.parquet"));
        Path cut = folder.resolve("cut.parquet");
        Files.write(cut, java.util.Arrays.copyOf(bytes, bytes.length / 2));
        assertTrue(refusal(cut).contains("cannot be read as Parquet"));
    }

    @Test
    void otherFilesAreRefused() throws IOException {
        assertTrue(refusal(file("p.xlsx", "")).contains("ends in none of .txt"));
        assertTrue(refusal(folder.resolve("none.txt")).contains("does not exist"));
        assertTrue(refusal(folder).contains("is no regular file"));
    }
}
