// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;

/** SHA-256 of named data of gigabytes, by all cores: of the SHA-256 of its pieces, in their order. */
final class GraphDigest {
    private static final long PIECE = 32L << 20;

    private final MessageDigest names = digest();
    private final List<MemorySegment> pieces = new ArrayList<>();

    /** Adds data, which has to remain until the digest is made. */
    void add(String name, MemorySegment data) {
        names.update(
                (name.length() + " " + name + " " + data.byteSize() + "\n")
                        .getBytes(StandardCharsets.UTF_8));
        for (long at = 0; at < data.byteSize(); at += PIECE) {
            pieces.add(data.asSlice(at, Math.min(PIECE, data.byteSize() - at)));
        }
    }

    byte[] sha256() {
        List<byte[]> parts = pieces.parallelStream().map(GraphDigest::sha256).toList();
        MessageDigest all = digest();
        all.update(names.digest());
        parts.forEach(all::update);
        return all.digest();
    }

    private static byte[] sha256(MemorySegment data) {
        MessageDigest digest = digest();
        digest.update(data.asByteBuffer());
        return digest.digest();
    }

    static MessageDigest digest() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
