// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import java.io.EOFException;

/**
 * What a GIF file (GIF89a specification) says about its screen and its first frame.
 *
 * @param width of the screen, pixels
 * @param height of the screen, pixels
 * @param left of the first frame on the screen, pixels
 * @param top of the first frame on the screen, pixels
 * @param frames complete ones
 */
record GifFile(int width, int height, int left, int top, int frames) {
    private static final int HEADER_BYTES = 13;
    private static final int EXTENSION = 0x21;
    private static final int FRAME = 0x2C;

    /**
     * Walks through the blocks of a file.
     *
     * @throws EOFException if it ends before its first frame does
     */
    static GifFile of(byte[] file) throws EOFException {
        int left = 0;
        int top = 0;
        int frames = 0;
        try {
            int at = HEADER_BYTES + palette(file[10]);
            while (at < file.length) {
                int block = file[at];
                if (block == FRAME) {
                    if (frames == 0) {
                        left = u16(file, at + 1);
                        top = u16(file, at + 3);
                    }
                    at = skip(file, at + 11 + palette(file[at + 9]));
                    frames++;
                } else if (block == EXTENSION) {
                    at = skip(file, at + 2);
                } else {
                    break;
                }
            }
        } catch (IndexOutOfBoundsException e) {
            // The frame that is cut off is not counted.
        }
        if (frames == 0) {
            throw new EOFException("it ends before its first frame does");
        }
        return new GifFile(u16(file, 6), u16(file, 8), left, top, frames);
    }

    /** The end of a sequence of sub-blocks. */
    private static int skip(byte[] file, int start) {
        int at = start;
        while (file[at] != 0) {
            at += 1 + (file[at] & 255);
        }
        return at + 1;
    }

    private static int palette(int flags) {
        return (flags & 0x80) == 0 ? 0 : 3 << ((flags & 7) + 1);
    }

    private static int u16(byte[] file, int at) {
        return (file[at] & 255) | (file[at + 1] & 255) << 8;
    }
}
