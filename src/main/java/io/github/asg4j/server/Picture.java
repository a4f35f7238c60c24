// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.image.PictureEncoding;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;

/** A picture and the files that it was written to, each once. Thread-safe. */
final class Picture {
    private final int width;
    private final int height;
    private final ByteBuffer rgb;
    private final String parameters;
    private final Map<PictureEncoding, byte[]> files = new HashMap<>();

    /**
     * @param rgb RGB8, row-major
     * @param parameters settings, for the file; empty: none
     */
    Picture(int width, int height, ByteBuffer rgb, String parameters) {
        this.width = width;
        this.height = height;
        this.rgb = rgb;
        this.parameters = parameters;
    }

    int width() {
        return width;
    }

    int height() {
        return height;
    }

    /** The bytes of a file; not to be changed. */
    synchronized byte[] as(PictureEncoding output) {
        return files.computeIfAbsent(output, this::encode);
    }

    private byte[] encode(PictureEncoding output) {
        MemorySegment pixels = MemorySegment.ofBuffer(rgb);
        return output.encode(width, height, pixels, parameters);
    }
}
