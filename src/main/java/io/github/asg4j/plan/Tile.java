// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

/**
 * Part of what a network is run over in tiles, in cells of its input: what is kept of its output,
 * and what it sees for it.
 *
 * @param height of the part that is kept
 * @param width of the part that is kept
 * @param seenTop first row that the network sees: {@code top} less a border, within the whole
 * @param seenLeft first column that the network sees
 * @param seenHeight rows that the network sees
 * @param seenWidth columns that the network sees
 */
public record Tile(
        int top,
        int left,
        int height,
        int width,
        int seenTop,
        int seenLeft,
        int seenHeight,
        int seenWidth) {}
