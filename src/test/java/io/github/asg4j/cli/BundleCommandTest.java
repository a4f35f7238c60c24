// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.Tiny;
import io.github.asg4j.model.checkpoint.SafeTensorsFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** What {@code bundle} refuses; {@code model.BundleWriterTest} has what it writes. */
class BundleCommandTest {
    @TempDir private Path temp;
    private final FakeEngines engines = new FakeEngines();

    private FakeEngines.Result run(int code, String... arguments) {
        FakeEngines.Result result =
                engines.run(
                        Stream.concat(Stream.of("bundle"), Stream.of(arguments))
                                .toArray(String[]::new));
        assertEquals(code, result.code(), result.err());
        assertEquals("", result.out());
        return result;
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> entries = Files.list(temp)) {
            return entries.sorted().toList();
        }
    }

    @Test
    void whereToWriteIsCheckedFirst() throws IOException {
        String model = temp.resolve("no.safetensors").toString();
        assertTrue(run(2, model).err().contains("--out"));
        assertTrue(run(2, "--out", "x").err().contains("MODEL"));
        assertTrue(run(5, model, "--out", ".").err().contains("is the current folder"));
        Files.writeString(temp.resolve("a"), "text");
        FakeEngines.Result full = run(5, model, "--out", temp.toString());
        assertTrue(full.err().contains("is not empty"), full.err());
        String out = temp.resolve("new").toString();
        assertTrue(run(3, model, "--out", out).err().contains(model));
        assertEquals(List.of(temp.resolve("a")), files());
    }

    @Test
    void aModelThatLacksWeightsLeavesNothing() throws IOException {
        Path model =
                SafeTensorsFile.likeStableDiffusion1().write(temp.resolve("model.safetensors"));
        Path out = temp.resolve("new");
        FakeEngines.Result result = run(3, model.toString(), "--out", out.toString());
        assertTrue(result.err().contains(model.toString()), result.err());
        assertFalse(Files.exists(out));
        assertEquals(List.of(model), files());
    }

    @Test
    void aBundleIsCopiedAsAFolder() {
        String out = temp.resolve("new").toString();
        FakeEngines.Result result = run(2, Tiny.bundle().toString(), "--out", out);
        assertTrue(result.err().contains("is a bundle already: copy the folder"), result.err());
    }
}
