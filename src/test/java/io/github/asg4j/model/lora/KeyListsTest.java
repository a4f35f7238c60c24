// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.model.checkpoint.Family;
import io.github.asg4j.model.checkpoint.Recognition;
import io.github.asg4j.model.checkpoint.Source;
import io.github.asg4j.model.checkpoint.WeightNames;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Lists of the tensors of real files, in a folder that -Dasg.keyLists names: .yaml of sd-mecha's form
 * ("name: {shape: [...]"), and .keys.txt ("name TAB [shape] TAB type"). Each is understood as a whole,
 * or refused with the reason; what was found is printed.
 */
@EnabledIfSystemProperty(named = "asg.keyLists", matches = ".+")
class KeyListsTest {
    private static final Pattern YAML =
            Pattern.compile("^ +(\\S+): \\{shape: \\[([0-9, ]*)\\].*?(optional: true)?\\}$");
    private static final Pattern TEXT = Pattern.compile("^(.*)\\t\\[([0-9, ]*)\\]\\t.*$");

    private static List<Path> lists(String end) throws IOException {
        try (Stream<Path> files = Files.walk(Path.of(System.getProperty("asg.keyLists")))) {
            return files.filter(file -> file.toString().endsWith(end)).sorted().toList();
        }
    }

    private static Map<String, List<Long>> read(Path file, Pattern line) throws IOException {
        Map<String, List<Long>> shapes = new LinkedHashMap<>();
        for (String text : Files.readAllLines(file)) {
            Matcher found = line.matcher(text);
            if (found.matches()) {
                shapes.put(
                        found.group(1),
                        Arrays.stream(found.group(2).split(", *"))
                                .filter(n -> !n.isEmpty())
                                .map(Long::valueOf)
                                .toList());
            }
        }
        return shapes;
    }

    @Test
    void everyListOfAModelIsUnderstoodOrRefused() throws IOException {
        List<Path> files = lists(".yaml");
        assertTrue(!files.isEmpty());
        for (Path file : files) {
            Map<String, List<Long>> shapes = read(file, YAML);
            // Markers of models that few files of the list are.
            shapes.keySet().removeIf(key -> key.startsWith("edm_"));
            String name = file.getFileName().toString();
            try {
                Recognition found = Recognition.of(name, shapes, Map.of());
                System.out.println(
                        name
                                + ": "
                                + shapes.size()
                                + " tensors, "
                                + found.family().title()
                                + ", parts "
                                + found.parts()
                                + templateCount(found, shapes.keySet()));
            } catch (BadBundleException e) {
                System.out.println(e.getMessage());
                System.out.println(kohya(name, shapes));
            }
        }
    }

    /** Every weight that the template reads has its place. */
    private static String templateCount(Recognition found, Set<String> stored) {
        int[] count = new int[1];
        ShippedTemplate.weights(found.family())
                .forEach(
                        (part, weights) ->
                                weights.forEach(
                                        weight -> {
                                            List<Source> places =
                                                    WeightNames.of(
                                                            found.family().singleFile(),
                                                            part,
                                                            weight,
                                                            found.jointBlocks());
                                            assertTrue(
                                                    places.stream()
                                                            .anyMatch(
                                                                    p ->
                                                                            p.change()
                                                                                            == Source
                                                                                                    .Change
                                                                                                    .IDENTITY
                                                                                    || stored
                                                                                            .contains(
                                                                                                    p
                                                                                                            .tensor())),
                                                    weight);
                                            count[0]++;
                                        }));
        return ", " + count[0] + " weights of denoiser and text encoders found, 0 missing";
    }

    /** Every matrix and convolution of a list in kohya's names is a layer that a LoRA may change. */
    private static String kohya(String list, Map<String, List<Long>> shapes) {
        Family family = list.startsWith("sdxl") ? Family.SDXL : Family.SD1;
        LoraTargets targets = ShippedTemplate.targets(family, Set.of());
        int found = 0;
        for (Map.Entry<String, List<Long>> tensor : shapes.entrySet()) {
            String name = tensor.getKey();
            boolean layer = name.startsWith("unet.") || name.startsWith("te");
            if (!layer
                    || tensor.getValue().size() < 2
                    || name.contains("embedding.weight")
                    || name.endsWith("text_projection.weight")) {
                continue;
            }
            String key =
                    "lora_"
                            + name.replaceFirst("\\.weight$", "").replace('.', '_')
                            + ".lora_down.weight";
            LoraName parsed = LoraName.parse(key);
            List<LoraTargets.Target> target = targets.find(parsed.network(), parsed.module());
            boolean unread = parsed.network() != LoraName.Network.DENOISER && target.isEmpty();
            assertTrue(unread || target.size() == 1, key);
            found += unread ? 0 : 1;
        }
        return "  as LoRA names: " + found + " layers of " + family.title() + " found, 0 missing";
    }

    @Test
    void everyListOfALoraIsUnderstoodOrRefused() throws IOException {
        List<Path> files = lists(".keys.txt");
        assertTrue(!files.isEmpty());
        for (Path file : files) {
            Map<String, List<Long>> shapes = read(file, TEXT);
            long refused = shapes.keySet().stream().filter(k -> LoraName.parse(k) == null).count();
            if (refused > 0) {
                String first =
                        shapes.keySet().stream()
                                .filter(k -> LoraName.parse(k) == null)
                                .findFirst()
                                .orElseThrow();
                assertEquals(shapes.size(), refused);
                System.out.println(file.getFileName() + ": refused: " + LoraName.otherForm(first));
                continue;
            }
            Family family =
                    shapes.values().stream().anyMatch(s -> s.getLast() == 1024)
                            ? Family.SD2
                            : Family.SD1;
            LoraTargets targets = ShippedTemplate.targets(family, Set.of());
            for (String key : shapes.keySet()) {
                LoraName name = LoraName.parse(key);
                assertEquals(1, targets.find(name.network(), name.module()).size(), key);
            }
            System.out.println(
                    file.getFileName()
                            + ": "
                            + shapes.size()
                            + " tensors of "
                            + family.title()
                            + " found, 0 missing");
        }
    }
}
