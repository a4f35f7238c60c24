// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;

/** What standard input holds: it can be read once, however many requests start from it. */
final class StandardInput {
    private static @Nullable Content content;

    private StandardInput() {}

    static synchronized Content content() {
        if (content == null) {
            content = read(System.in);
        }
        return content;
    }

    static Content read(InputStream in) {
        try {
            byte[] bytes = in.readNBytes((int) Content.MAX_BYTES + 1);
            if (bytes.length == 0) {
                throw new BadRequestException(
                        "standard input is empty: - reads it, as in cat ball.png | ./asg generate"
                                + " ... --image -");
            }
            return Content.bytes(MemorySegment.ofArray(bytes));
        } catch (IOException e) {
            throw new BadRequestException(
                    "standard input cannot be read (" + e.getMessage() + ")", e);
        }
    }
}
