// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

/**
 * How pictures are stored.
 *
 * @param kind of file
 * @param pictures of a file
 */
public record PictureFormat(Kind kind, int pictures) {
    /** A file for each picture. */
    public static final PictureFormat PNG = new PictureFormat(Kind.PNG, 1);

    /** Kinds of files. */
    public enum Kind {
        PNG,
        TAR,
        PARQUET
    }

    /** As in "tar, 1000 pictures a file". */
    @Override
    public String toString() {
        return switch (kind) {
            case PNG -> "png";
            case TAR -> "tar, " + pictures + " pictures a file";
            case PARQUET -> "parquet, " + pictures + " pictures a file";
        };
    }
}
