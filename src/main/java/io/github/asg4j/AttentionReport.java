// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.lang.foreign.MemorySegment;
import java.nio.FloatBuffer;
import java.util.List;

/**
 * The key patch's cross-attention at one step of stage 1 (the paper's Fig. 6).
 *
 * @param step of the schedule, from 0
 * @param blocks every map of the bundle, in the manifest's order
 * @param mask the normalised mask that weighs the guidance (Eq. 4), in [0, 1]
 */
public record AttentionReport(int step, List<Map> blocks, Map mask) {
    public AttentionReport {
        blocks = List.copyOf(blocks);
    }

    /**
     * A map.
     *
     * @param name of the up block, or "mask"
     * @param height cells
     * @param width cells
     * @param values {@code [height, width]} float32, read-only heap copy, un-normalised but for the
     *     mask
     */
    public record Map(String name, int height, int width, FloatBuffer values) {
        /** A copy of {@code values}, off-heap float32 {@code [height, width]}. */
        public static Map copyOf(String name, int height, int width, MemorySegment values) {
            return new Map(name, height, width, PatchReport.copyOf(values));
        }
    }
}
