// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPInputStream;

/** Names and shapes of the tensors of published single files. */
final class PublishedKeys {
    private PublishedKeys() {}

    /** Extents by name; a map of its own, to be changed freely. */
    static Map<String, List<Long>> read(String name) {
        Map<String, List<Long>> shapes = new LinkedHashMap<>();
        try (var in = PublishedKeys.class.getResourceAsStream(name + ".txt.gz");
                var lines =
                        new BufferedReader(
                                new InputStreamReader(
                                        new GZIPInputStream(in), StandardCharsets.UTF_8))) {
            lines.lines()
                    .map(line -> line.split("\t", -1))
                    .forEach(fields -> shapes.put(fields[0], extents(fields[1])));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return shapes;
    }

    private static List<Long> extents(String text) {
        return text.isEmpty()
                ? List.of()
                : Arrays.stream(text.split(",")).map(Long::valueOf).toList();
    }
}
