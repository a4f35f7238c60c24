// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import java.nio.ByteBuffer;

/**
 * A picture as RGB8.
 *
 * @param rgb [height, width, 3] from position 0 to its limit
 */
public record Pixels(int width, int height, ByteBuffer rgb) {}
