// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.List;

/** A kind of file with many pictures, each of which is appended whole. It may know the file in work. */
interface FileFormat {
    /** Ending of the files' names, with the full stop. */
    String ending();

    /** What a file begins with; a new one is begun. */
    byte[] begin();

    /**
     * What a picture adds to the file. Its own file is the last part of it but for {@link #padding}.
     *
     * @param start where it is put, bytes
     */
    byte[] picture(long start, PictureStore.Picture picture);

    /** Bytes between the end of a picture's file of so many bytes and the end of what it adds. */
    long padding(long pictureBytes);

    /** What a file ends with. */
    byte[] end();

    /**
     * Learns of the file in work what it would know had it written it.
     *
     * @param records of the pictures in it
     * @throws io.github.asg4j.BadRequestException if they do not fit the file
     */
    void resume(List<JsonNode> records);
}
