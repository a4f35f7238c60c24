// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Rows that somebody else spreads have the names that a batch gives them. */
class RowRequestsTest {
    private static final EngineInfo ENGINE = Reports.engine(new Size(64, 64));

    @TempDir Path folder;

    @Test
    void theKeyAndTheRequestAreThoseOfABatch() throws Exception {
        Path rows = folder.resolve("rows.csv");
        Files.writeString(rows, "prompt,steps,guidance_scale,seed\na red ball,7,2.5,\n");
        Given size = Given.text(RowRequests.option("option", "size"), "64x64");
        BatchOptions options =
                new BatchOptions(
                        rows,
                        folder.resolve("out"),
                        List.of(size),
                        List.of(Setting.NONE),
                        List.of(),
                        1,
                        Shard.ALL,
                        PictureFormat.PNG,
                        false);
        try (Batch batch = Batch.open(options, ENGINE)) {
            batch.draw(new FakeDrawing(), progress -> {});
        }
        JsonNode record = new ObjectMapper().readTree(folder.resolve("out/records.jsonl").toFile());

        RowRequests requests = new RowRequests(Map.of("size", "64x64"), ENGINE);
        RowRequests.Named named =
                requests.row(Map.of("prompt", "a red ball", "steps", 7L, "guidance-scale", 2.5f));
        assertEquals(record.get("key").asText(), named.key());
        assertEquals(record.get("request"), new ObjectMapper().readTree(named.json()));
        assertEquals(named, requests.json(named.json()));
    }

    @Test
    void theModelsMethodHasTheSameKeyByItsName() {
        RowRequests requests =
                new RowRequests(Map.of("staleness", "1"), Reports.drawing(ENGINE, "relay"));
        RowRequests.Named usual = requests.row(Map.of("prompt", "a ball"));
        assertEquals("relay", usual.request().method());
        assertEquals(usual, requests.row(Map.of("prompt", "a ball", "method", "relay")));
        long seed = usual.request().seed();
        assertEquals(usual, requests.json("{\"prompt\":\"a ball\",\"seed\":" + seed + "}"));
    }

    @Test
    void defaultsAreCheckedBeforeThereIsAnEngine() {
        // An option of one method beside one of another: rows may be of both.
        RowRequests.check(Map.of("staleness", "1", "stages", "1x 0..1", "seed", "-1"));
        assertEquals(
                "\"steps\": 'few' is no whole number, as in 20",
                assertThrows(
                                BadRequestException.class,
                                () -> RowRequests.check(Map.of("steps", "few")))
                        .getMessage());
        String unknown =
                assertThrows(
                                BadRequestException.class,
                                () -> RowRequests.check(Map.of("dump", "folder")))
                        .getMessage();
        assertTrue(unknown.startsWith("unknown option \"dump\": there are prompt, "), unknown);
    }
}
