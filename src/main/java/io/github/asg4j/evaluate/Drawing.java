// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.PictureReport;

import java.util.OptionalInt;
import java.util.OptionalLong;

/** What became of a picture that was asked for. */
public sealed interface Drawing {
    /**
     * It was drawn.
     *
     * @param png the picture as a PNG file that carries its settings; not copied
     * @param width pixels
     * @param height pixels
     * @param report settings and measurements
     * @param ownPeak whether the report's peak of the process is that of this picture alone
     * @param objects counted in it; empty: nobody counts here, or not what the prompt asks for
     */
    record Drawn(
            byte[] png,
            int width,
            int height,
            PictureReport report,
            boolean ownPeak,
            OptionalInt objects)
            implements Drawing {
        /** Bytes of the process at its peak while this picture was drawn; empty: unknown. */
        public OptionalLong processPeak() {
            long bytes = report.memory().process();
            return ownPeak && bytes > 0 ? OptionalLong.of(bytes) : OptionalLong.empty();
        }
    }

    /**
     * It cannot be drawn with this bundle, on this machine or at this size.
     *
     * @param reason what is missing and what to do
     */
    record Refused(String reason) implements Drawing {}
}
