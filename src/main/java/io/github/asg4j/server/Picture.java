// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.GeneratedImage;
import io.github.asg4j.image.JpegWriter;
import io.github.asg4j.image.PngWriter;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/** A picture and the files that it was written to, each once. Thread-safe. */
final class Picture {
    private final GeneratedImage image;
    private final String parameters;
    private final Map<Output, byte[]> files = new HashMap<>();

    /**
     * @param parameters settings, for the file; empty: none
     */
    Picture(GeneratedImage image, String parameters) {
        this.image = image;
        this.parameters = parameters;
    }

    GeneratedImage image() {
        return image;
    }

    /** The bytes of a file; not to be changed. */
    synchronized byte[] as(Output output) {
        return files.computeIfAbsent(output, this::encode);
    }

    private byte[] encode(Output output) {
        MemorySegment rgb = MemorySegment.ofBuffer(image.rgb());
        int width = image.width();
        int height = image.height();
        return switch (output.format()) {
            case PNG -> PngWriter.encode(width, height, rgb, parameters);
            case JPEG -> JpegWriter.encode(width, height, rgb, parameters, output.quality());
        };
    }
}
