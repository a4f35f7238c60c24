// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.github.asg4j.model.TextEncoder;

import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;

class EmphasisTest {
    /** What PyTorch gives for {@code y = z * w; y * (z.mean() / y.mean())} of three tokens. */
    @Test
    void weighsAndRestoresTheMean() {
        float[] states = {1, 2, 3, -4, 0.5f, 6};
        Emphasis.apply(
                MemorySegment.ofArray(states),
                2,
                new TextEncoder.Block(0, 3, 0, 2),
                new float[] {1, 1.3f, 0.7f});
        assertArrayEquals(
                new float[] {1.36f, 2.72f, 5.304f, -7.072f, 0.476f, 5.712f}, states, 1e-6f);
    }

    /** The same tokens behind another chunk and beside another encoder, which stay as they are. */
    @Test
    void leavesOtherBlocksAlone() {
        float[] states = {
            9, 9, 9, 9,
            8, 1, 2, 8,
            8, 3, -4, 8,
            8, 0.5f, 6, 8,
        };
        Emphasis.apply(
                MemorySegment.ofArray(states),
                4,
                new TextEncoder.Block(1, 3, 1, 2),
                new float[] {1, 1.3f, 0.7f});
        float[] expected = {
            9, 9, 9, 9,
            8, 1.36f, 2.72f, 8,
            8, 5.304f, -7.072f, 8,
            8, 0.476f, 5.712f, 8,
        };
        assertArrayEquals(expected, states, 1e-6f);
    }

    /** A mean that cannot be restored is left as it is: PyTorch would give infinities. */
    @Test
    void aMeanOfZeroIsNotRestored() {
        float[] states = {1, 1, 2, 2};
        Emphasis.apply(
                MemorySegment.ofArray(states),
                2,
                new TextEncoder.Block(0, 2, 0, 2),
                new float[] {2, -1});
        assertArrayEquals(new float[] {2, 2, -2, -2}, states);
    }
}
