// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.image.PictureEncoding;

import java.util.LinkedHashMap;
import java.util.Map;

/** Where pictures go. */
interface PictureStore extends AutoCloseable {
    /**
     * A picture to be kept.
     *
     * @param encoding of the file
     * @param file its bytes
     * @param sha256 of the file
     * @param pixelsSha256 of the pixels alone
     */
    record Picture(
            Keys.Keyed named,
            PictureEncoding encoding,
            byte[] file,
            String sha256,
            String pixelsSha256) {
        /** The usual name of the file. */
        String name() {
            return named.key() + encoding.format().ending();
        }

        /** As records have it. */
        Map<String, Object> hashes() {
            Map<String, Object> hashes = new LinkedHashMap<>();
            hashes.put("bytes", file.length);
            hashes.put("sha256", sha256);
            hashes.put("pixels_sha256", pixelsSha256);
            return hashes;
        }
    }

    /**
     * Keeps a picture. It is on the disk when this returns.
     *
     * @return what the record says of its place: "file" in the batch's folder, and "offset" where it
     *     is a part of the file
     * @throws io.github.asg4j.OutputException if it cannot be written
     */
    Map<String, Object> put(Picture picture);

    /** Ends the files, so that they can be read. */
    @Override
    void close();
}
