// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;

import io.github.asg4j.Engine;
import io.github.asg4j.Tiny;
import io.github.asg4j.kernel.KernelChoice;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The pixels of the requests in {@code src/test/resources/pixels.txt}, all methods among them, drawn by
 * the command line in this process with the demo model. Requests of one group differ only in what must
 * not change the picture, devices and kernels, and always have the same pixels.
 *
 * <p>The list also holds the pixels themselves, as the first digits of their SHA-256. Those are of one
 * kind of CPU: ONNX Runtime chooses its kernels by the CPU's instructions, and they round differently.
 * So they are compared only when asked for:
 *
 * <pre>
 * mvn test -Dtest=PixelsTest -Dasg.test.pixels.recorded=true
 * </pre>
 *
 * <p>Every run writes what it drew to {@code target/pixels-2.txt}: on another CPU, compare the files
 * written before and after a change. {@code -Dasg.test.pixels.steps=8} draws with 8 steps instead of 2:
 * slower, but windows take all their shifts and guides grow old.
 */
class PixelsTest {
    private static final int STEPS = Integer.getInteger("asg.test.pixels.steps", 2);
    private static final boolean RECORDED = Boolean.getBoolean("asg.test.pixels.recorded");

    /** Digits of a SHA-256 that the list has. */
    private static final int DIGITS = 16;

    @TempDir static Path folder;

    /** What was drawn, line by line as in the list. */
    private static final List<String> DRAWN = new ArrayList<>();

    private record Request(Map<Integer, String> recorded, String group, List<String> arguments) {
        /** A line of the list: pixels after 2 steps, after 8 steps, group, arguments. */
        static Request of(String line) {
            String[] fields = line.split(" ", 4);
            return new Request(
                    Map.of(2, fields[0], 8, fields[1]),
                    fields[2].substring(0, fields[2].indexOf(':')),
                    List.of(fields[3].split(" ")));
        }

        String option(String name) {
            return arguments.get(arguments.indexOf(name) + 1);
        }

        boolean canBeDrawnHere() {
            return !arguments.contains("--kernels")
                    || option("--kernels").equals("auto")
                    || KernelChoice.usable().contains(option("--kernels"));
        }

        @Override
        public String toString() {
            return group + ": " + String.join(" ", arguments);
        }
    }

    private static List<Request> requests() throws IOException {
        return Files.readAllLines(Tiny.resource("pixels.txt")).stream()
                .filter(line -> !line.startsWith("#"))
                .map(Request::of)
                .toList();
    }

    @BeforeAll
    static void requirePixelsOfSoManySteps() {
        assertTrue(
                !RECORDED || STEPS == 2 || STEPS == 8,
                () -> "asg.test.pixels.steps is " + STEPS + ": pixels are recorded of 2 and 8");
    }

    /** Beside each other, the lists of two runs show what changed. */
    @AfterAll
    static void writeList() throws IOException {
        Files.write(Path.of("target", "pixels-" + STEPS + ".txt"), DRAWN);
    }

    @TestFactory
    Stream<DynamicTest> sameForAllDevicesAndKernels() throws IOException {
        Map<String, List<Request>> groups =
                requests().stream()
                        .collect(
                                Collectors.groupingBy(
                                        Request::group, LinkedHashMap::new, Collectors.toList()));
        return groups.entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> drawAll(e.getValue())));
    }

    @Test
    void everyMethodIsInTheList() throws IOException {
        assertEquals(
                Engine.methods(),
                requests().stream()
                        .map(request -> request.option("--method"))
                        .collect(Collectors.toSet()));
    }

    private static void drawAll(List<Request> group) throws IOException {
        String first = null;
        for (Request request : group) {
            if (!request.canBeDrawnHere()) {
                continue;
            }
            String pixels = draw(request);
            DRAWN.add(pixels + " " + request);
            if (first == null) {
                first = pixels;
            }
            assertEquals(first, pixels, request + ": other pixels than the first of its group");
            if (RECORDED) {
                assertEquals(request.recorded.get(STEPS), pixels, request + ": not as recorded");
            }
        }
    }

    private static String draw(Request request) throws IOException {
        List<String> arguments =
                new ArrayList<>(
                        List.of(
                                "generate",
                                "--prompt",
                                "a pink cone on water",
                                "--steps",
                                Integer.toString(STEPS),
                                "--threads-per-worker",
                                "1",
                                "--out",
                                folder.resolve("picture.png").toString(),
                                "--json",
                                "--quiet"));
        arguments.addAll(request.arguments);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int code =
                new Cli(
                                EngineFactory.real(),
                                new PrintStream(out, true, StandardCharsets.UTF_8),
                                new PrintStream(err, true, StandardCharsets.UTF_8),
                                false,
                                () -> 0)
                        .run(arguments.toArray(String[]::new));
        assertEquals(0, code, () -> request + ": " + err.toString(StandardCharsets.UTF_8));
        return new ObjectMapper()
                .readTree(out.toByteArray())
                .get("pixels_sha256")
                .asText()
                .substring(0, DIGITS);
    }
}
