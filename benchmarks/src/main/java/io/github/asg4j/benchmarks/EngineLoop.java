// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Size;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * One engine in a loop, which waits for each picture, writes it, and asks for the next: what a batch is
 * held against. {@code EngineLoop PROMPTS FOLDER STEPS DEVICES SIZE} prints seconds, without opening the
 * engine, and the seconds in which it drew.
 */
public final class EngineLoop {
    private EngineLoop() {}

    public static void main(String[] arguments) throws Exception {
        Path folder = Files.createDirectories(Path.of(arguments[1]));
        int steps = Integer.parseInt(arguments[2]);
        Size size = Size.parse(arguments[4]);
        try (Engine engine = Engine.open(EngineOptions.DEFAULT.withDevices(arguments[3]))) {
            long start = System.nanoTime();
            double drawing = 0;
            int pictures = 0;
            for (String prompt : Files.readAllLines(Path.of(arguments[0]))) {
                GeneratedImage image =
                        engine.submit(
                                        GenerationRequest.builder(prompt)
                                                .size(size.width(), size.height())
                                                .steps(steps)
                                                .build())
                                .join();
                image.writePng(folder.resolve(pictures++ + ".png"));
                drawing += image.report().times().load() + image.report().times().total();
            }
            System.out.printf(
                    Locale.ROOT,
                    "{\"seconds\":%.3f,\"drawing_seconds\":%.3f}%n",
                    (System.nanoTime() - start) / 1e9,
                    drawing / 1000);
        }
    }
}
