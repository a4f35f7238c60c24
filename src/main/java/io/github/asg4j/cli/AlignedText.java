// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Maps of maps, lists and values as indented text with aligned values, for people. */
final class AlignedText {
    private static final String INDENT = "  ";

    private AlignedText() {}

    static String of(Map<?, ?> map) {
        List<String> lines = new ArrayList<>();
        append(lines, map, "");
        return String.join(System.lineSeparator(), lines);
    }

    private static void append(List<String> lines, Map<?, ?> map, String indent) {
        int width =
                map.entrySet().stream()
                        .filter(entry -> isLeaf(entry.getValue()))
                        .mapToInt(entry -> label(entry.getKey()).length())
                        .max()
                        .orElse(0);
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            String label = label(entry.getKey());
            Object value = entry.getValue();
            if (isLeaf(value)) {
                lines.add(indent + label + " ".repeat(width - label.length() + 2) + inline(value));
            } else if (value instanceof Map<?, ?> inner) {
                lines.add(indent + label + ":");
                append(lines, inner, indent + INDENT);
            } else if (value instanceof List<?> items) {
                lines.add(indent + label + ":");
                items.forEach(item -> appendItem(lines, item, indent + INDENT));
            }
        }
    }

    private static void appendItem(List<String> lines, @Nullable Object item, String indent) {
        if (!(item instanceof Map<?, ?> map) || map.isEmpty()) {
            lines.add(indent + "- " + inline(item));
            return;
        }
        int first = lines.size();
        append(lines, map, indent + INDENT);
        lines.set(first, indent + "- " + lines.get(first).strip());
    }

    /** A map takes a block, a list of maps a block for each. */
    private static boolean isLeaf(@Nullable Object value) {
        return !(value instanceof Map)
                && !(value instanceof List<?> items
                        && items.stream().anyMatch(item -> item instanceof Map));
    }

    /** A value on one line. */
    static String inline(@Nullable Object value) {
        return switch (value) {
            case Map<?, ?> map ->
                    map.entrySet().stream()
                            .map(entry -> label(entry.getKey()) + " " + inline(entry.getValue()))
                            .collect(Collectors.joining(", "));
            case List<?> items ->
                    items.stream().map(AlignedText::inline).collect(Collectors.joining(", "));
            case null -> "none";
            default -> value.toString();
        };
    }

    private static String label(@Nullable Object key) {
        return String.valueOf(key).replace('_', ' ');
    }
}
