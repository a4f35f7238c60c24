// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.OutputException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;

/**
 * Pictures that came with requests, as files of a folder of our own, named by what they contain: the
 * same picture is the same file. Each is deleted when nobody holds it any more. Thread-safe.
 */
final class StartPictures implements AutoCloseable {
    private static final int NAME_CHARACTERS = 16;

    private final Path folder;
    private final Map<Path, Integer> holders = new HashMap<>();

    StartPictures() {
        try {
            folder = Files.createTempDirectory("asg-server-"); // readable by this user only
        } catch (IOException e) {
            throw new OutputException(
                    "no folder for the pictures of requests can be made in "
                            + System.getProperty("java.io.tmpdir")
                            + " ("
                            + e
                            + "): free some space, or choose another by -Djava.io.tmpdir=DIR",
                    e);
        }
    }

    /**
     * What base64 or a data URL holds.
     *
     * @param key of the request, for messages
     * @throws Refusal if it is neither, or an address: this server fetches nothing
     */
    static byte[] decode(String key, String text) {
        String base64 = text.strip();
        if (base64.startsWith("data:")) {
            int comma = base64.indexOf(',');
            if (comma < 0 || !base64.substring(0, comma).endsWith(";base64")) {
                throw Refusal.invalidValue(
                        key, "\"" + key + "\" is a data URL without base64 data");
            }
            base64 = base64.substring(comma + 1);
        } else if (base64.regionMatches(true, 0, "http:", 0, 5)
                || base64.regionMatches(true, 0, "https:", 0, 6)
                || base64.regionMatches(true, 0, "file:", 0, 5)) {
            throw Refusal.invalidValue(
                    key,
                    "\""
                            + key
                            + "\" is an address, and this server fetches nothing: send the picture"
                            + " itself, in base64");
        }
        try {
            return Base64.getMimeDecoder().decode(base64);
        } catch (IllegalArgumentException e) {
            throw Refusal.invalidValue(key, "\"" + key + "\" is no base64: " + e.getMessage());
        }
    }

    /** A file with that content, which the caller holds until {@link #release}. */
    Path put(byte[] content) {
        Path file = folder.resolve(sha256(content).substring(0, NAME_CHARACTERS) + ".picture");
        synchronized (this) {
            if (holders.merge(file, 1, Integer::sum) == 1) {
                try {
                    Files.write(file, content);
                } catch (IOException e) {
                    holders.remove(file);
                    throw new OutputException(
                            "the start picture cannot be kept in "
                                    + folder.getParent()
                                    + " ("
                                    + e
                                    + "): free some space there",
                            e);
                }
            }
        }
        return file;
    }

    /** One more holder of a file of ours. */
    synchronized void hold(@Nullable Path file) {
        if (file != null) {
            holders.merge(file, 1, Integer::sum);
        }
    }

    /** One holder less. */
    synchronized void release(@Nullable Path file) {
        if (file != null
                && holders.containsKey(file)
                && holders.compute(file, (f, n) -> n == null || n == 1 ? null : n - 1) == null) {
            delete(file);
        }
    }

    /** An error about a picture, without the name of our folder. */
    Throwable withoutFolder(Throwable failure) {
        String message = failure.getMessage();
        if (failure instanceof BadRequestException
                && message != null
                && message.contains(folder.toString())) {
            return new BadRequestException(
                    message.replaceAll(
                            "'" + java.util.regex.Pattern.quote(folder.toString()) + "/[^']*'",
                            "of this request"),
                    failure);
        }
        return failure;
    }

    private static String sha256(byte[] content) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    private static void delete(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            System.getLogger(StartPictures.class.getName())
                    .log(System.Logger.Level.WARNING, "cannot delete {0}: {1}", file, e);
        }
    }

    /** Deletes all. */
    @Override
    public synchronized void close() {
        holders.keySet().forEach(StartPictures::delete);
        holders.clear();
        delete(folder);
    }
}
