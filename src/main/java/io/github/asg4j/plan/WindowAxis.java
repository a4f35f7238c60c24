// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import io.github.asg4j.BadRequestException;

/**
 * Overlapping windows along one axis (CutDiffusion's detail stage).
 *
 * @param canvas latent cells of the canvas
 * @param size latent cells of a window
 * @param stride latent cells between windows; the last one is moved back to end at the canvas
 * @param count windows
 * @param jitter largest random shift; 0 for a single window
 */
public record WindowAxis(int canvas, int size, int stride, int count, int jitter) {

    public static WindowAxis of(int canvas, int nativeSize, int stride, int jitter) {
        if (canvas <= nativeSize) {
            return new WindowAxis(canvas, canvas, stride, 1, 0);
        }
        if (stride > nativeSize) {
            throw new BadRequestException(
                    "window stride "
                            + stride
                            + " is larger than the window ("
                            + nativeSize
                            + " latent cells): cells would be left out");
        }
        int count = (int) ((double) (canvas - nativeSize) / stride - 1e-6) + 2;
        int overlap = nativeSize - stride;
        if (2 * jitter > overlap) {
            throw new BadRequestException(
                    "jitter "
                            + jitter
                            + " leaves cells uncovered: with windows of "
                            + nativeSize
                            + " and stride "
                            + stride
                            + " it can be at most "
                            + overlap / 2);
        }
        return new WindowAxis(canvas, nativeSize, stride, count, jitter);
    }

    /** One window over the whole axis. */
    public static WindowAxis whole(int canvas) {
        return new WindowAxis(canvas, canvas, canvas, 1, 0);
    }

    /** First cell of window {@code index} before jitter. */
    public int start(int index) {
        return Math.min(index * stride, canvas - size);
    }

    /** Smallest shift of window {@code index}: the first one only moves outwards. */
    public int jitterLow(int index) {
        return count == 1 || index == count - 1 ? 0 : -jitter;
    }

    /** Largest shift of window {@code index}: the last one only moves outwards. */
    public int jitterHigh(int index) {
        return count == 1 || index == 0 ? 0 : jitter;
    }
}
