// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.image.PictureEncoding;

/**
 * How pictures are stored.
 *
 * @param kind of file
 * @param pictures of a file
 * @param encoding of a picture
 */
public record PictureFormat(Kind kind, int pictures, PictureEncoding encoding) {
    /** A PNG file for each picture. */
    public static final PictureFormat PNG = new PictureFormat(Kind.FILES, 1, PictureEncoding.PNG);

    /** Kinds of files. */
    public enum Kind {
        FILES,
        TAR,
        PARQUET
    }

    /** As in "png", "tar, 1000 pictures a file" (of PNG) and "tar, 1000 pictures a file, webp, quality 80". */
    @Override
    public String toString() {
        String what = encoding.equals(PictureEncoding.PNG) ? "" : ", " + encoding;
        return switch (kind) {
            case FILES -> encoding.toString();
            case TAR -> "tar, " + pictures + " pictures a file" + what;
            case PARQUET -> "parquet, " + pictures + " pictures a file" + what;
        };
    }
}
