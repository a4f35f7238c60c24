// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import io.github.asg4j.model.TextEncoder;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Weights of words in the states of a text encoder. */
public final class Emphasis {
    private Emphasis() {}

    /**
     * Multiplies the states of a chunk by the weights of its tokens, then all of them by one factor
     * that restores their mean: the "Original" emphasis of AUTOMATIC1111's web UI.
     *
     * @param states [T, D], changed
     * @param width D
     */
    public static void apply(
            MemorySegment states, int width, TextEncoder.Block block, float[] weights) {
        double before = sum(states, width, block);
        scale(states, width, block, row -> weights[row]);
        float factor = (float) (before / sum(states, width, block));
        if (Float.isFinite(factor)) {
            scale(states, width, block, row -> factor);
        }
    }

    private interface RowFactor {
        float of(int row);
    }

    private static void scale(
            MemorySegment states, int width, TextEncoder.Block block, RowFactor factors) {
        for (int row = 0; row < block.rows(); row++) {
            float factor = factors.of(row);
            long first = (long) (block.row() + row) * width + block.column();
            for (long i = first; i < first + block.columns(); i++) {
                float value = states.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                states.setAtIndex(ValueLayout.JAVA_FLOAT, i, value * factor);
            }
        }
    }

    private static double sum(MemorySegment states, int width, TextEncoder.Block block) {
        double sum = 0;
        for (int row = 0; row < block.rows(); row++) {
            long first = (long) (block.row() + row) * width + block.column();
            for (long i = first; i < first + block.columns(); i++) {
                sum += states.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            }
        }
        return sum;
    }
}
