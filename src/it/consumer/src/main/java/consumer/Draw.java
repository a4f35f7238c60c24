// SPDX-License-Identifier: Apache-2.0
package consumer;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;

import java.nio.file.Path;

/** Draws a picture into the file named, and prints the SHA-256 of its pixels. */
public final class Draw {
    private Draw() {}

    public static void main(String[] args) {
        GenerationRequest request =
                GenerationRequest.builder("a red ball on grass")
                        .size(256, 256)
                        .seed(7)
                        .steps(2)
                        .build();
        try (Engine engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:2"))) {
            GeneratedImage image = engine.submit(request).join();
            image.writePng(Path.of(args[0]));
            System.out.println(
                    (Draw.class.getModule().isNamed() ? "module path " : "class path ")
                            + image.report().pixelsSha256());
        }
    }
}
