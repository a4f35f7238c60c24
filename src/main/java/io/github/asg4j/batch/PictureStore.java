// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import java.util.Map;

/** Where pictures go. */
interface PictureStore extends AutoCloseable {
    /**
     * Keeps a picture. It is on the disk when this returns.
     *
     * @param about the picture, for formats that keep it with the picture
     * @return what the record says of its place: "file" in the batch's folder, and "offset" where it
     *     is a part of the file
     * @throws io.github.asg4j.OutputException if it cannot be written
     */
    Map<String, Object> put(String key, byte[] png, String about, String prompt);

    /** Ends the files, so that they can be read. */
    @Override
    void close();
}
