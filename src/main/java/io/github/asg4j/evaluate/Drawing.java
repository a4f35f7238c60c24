// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.util.Map;
import java.util.OptionalInt;

/** What became of a picture that was asked for. */
public sealed interface Drawing {
    /**
     * It was drawn.
     *
     * @param png the picture as a PNG file that carries its settings; not copied
     * @param width pixels
     * @param height pixels
     * @param report settings and measurements, as of {@link io.github.asg4j.GeneratedImage}
     * @param objects counted in it; empty: nobody counts here, or not what the prompt asks for
     */
    record Drawn(byte[] png, int width, int height, Map<String, Object> report, OptionalInt objects)
            implements Drawing {}

    /**
     * It cannot be drawn with this bundle, on this machine or at this size.
     *
     * @param reason what is missing and what to do
     */
    record Refused(String reason) implements Drawing {}
}
