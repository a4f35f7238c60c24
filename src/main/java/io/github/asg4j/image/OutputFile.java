// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.OutputException;

import org.jspecify.annotations.Nullable;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A file that appears complete or not at all: written under a temporary name in the same folder,
 * then moved into place. Whatever fails, the temporary file is deleted and an existing file stays
 * as it was.
 */
public final class OutputFile {
    /** Longest file name of the usual Linux file systems, in bytes. */
    private static final int MAX_NAME_BYTES = 255;

    /** Keeps writers of one process apart; the process id those of several. */
    private static final AtomicLong COUNTER = new AtomicLong();

    private OutputFile() {}

    /** Writes the content; its exceptions end the writing. */
    @FunctionalInterface
    public interface Content {
        void writeTo(OutputStream out) throws IOException;
    }

    /** Opens the temporary file; tests put a full disk in its place. */
    @FunctionalInterface
    interface Opener {
        OutputStream open(Path temporary) throws IOException;
    }

    static OutputStream open(Path temporary) throws IOException {
        return Files.newOutputStream(
                temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    }

    /**
     * Writes a file; an existing one is replaced when the new one is complete.
     *
     * @throws OutputException if the file cannot be written; says why and what to do
     */
    public static void write(Path file, Content content) {
        write(file, OutputFile::open, content);
    }

    static void write(Path file, Opener opener, Content content) {
        Path target = target(file);
        Path temporary = temporaryFor(target);
        try {
            try (OutputStream out = new BufferedOutputStream(opener.open(temporary), 1 << 16)) {
                content.writeTo(out);
            }
            Files.move(
                    temporary,
                    target,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw failure(file, e);
        } finally {
            // Moved away when all went well.
            deleteQuietly(temporary);
        }
    }

    /**
     * Checks all that can be known before the work starts, by creating and deleting a file beside
     * the target.
     *
     * @param bytes the most that the file will have; 0: unknown
     * @throws OutputException if {@code file} could not be written
     */
    public static void check(Path file, long bytes) {
        Path name = file.getFileName();
        if (name == null || name.toString().isEmpty()) {
            throw new OutputException("'" + file + "' names no file: give one, as in picture.png");
        }
        checkName(name);
        Path target = target(file);
        if (Files.isDirectory(target)) {
            throw new OutputException(
                    "'"
                            + file
                            + "' is a folder: name a file in it, as in "
                            + file.resolve("picture.png"));
        }
        if (Files.exists(target) && !Files.isRegularFile(target)) {
            throw new OutputException(
                    "'"
                            + file
                            + "' is a device or pipe: only a regular file can be replaced, give"
                            + " the name of one");
        }
        if (Files.exists(target) && !Files.isWritable(target)) {
            throw new OutputException(
                    "'"
                            + file
                            + "' exists and is write-protected: choose another name or allow"
                            + " writing (chmod u+w)");
        }
        checkFolder(folder(target));
        checkSpace(folder(target), bytes);
        Path probe = temporaryFor(target);
        try {
            open(probe).close();
        } catch (IOException e) {
            throw failure(file, e);
        } finally {
            deleteQuietly(probe);
        }
    }

    /** Refuses names that no file or folder can have. */
    static void checkName(Path name) {
        int nameBytes = name.toString().getBytes(StandardCharsets.UTF_8).length;
        if (nameBytes > MAX_NAME_BYTES) {
            throw new OutputException(
                    "the file name '"
                            + name.toString().substring(0, 40)
                            + "...' has "
                            + nameBytes
                            + " bytes, the limit is "
                            + MAX_NAME_BYTES
                            + ": choose a shorter one");
        }
    }

    static void checkFolder(Path folder) {
        if (!Files.exists(folder)) {
            throw new OutputException(
                    "the folder '"
                            + folder
                            + "' does not exist: create it (mkdir -p '"
                            + folder
                            + "') or choose another");
        }
        if (!Files.isDirectory(folder)) {
            throw new OutputException("'" + folder + "' is a file, not a folder: choose another");
        }
        if (!Files.isWritable(folder)) {
            throw new OutputException(
                    "the folder '"
                            + folder
                            + "' is not writable for user "
                            + System.getProperty("user.name")
                            + ": choose another or allow writing");
        }
    }

    static void checkSpace(Path folder, long bytes) {
        long free;
        try {
            FileStore store = Files.getFileStore(folder);
            // Some network and user-space file systems report nothing at all.
            free = store.getTotalSpace() == 0 ? Long.MAX_VALUE : store.getUsableSpace();
        } catch (IOException e) {
            return;
        }
        if (free < bytes) {
            throw new OutputException(
                    "the disk of '"
                            + folder
                            + "' has "
                            + free
                            + " bytes free, up to "
                            + bytes
                            + " are needed: free some space or choose another folder");
        }
    }

    /** What a failed attempt to write {@code file} is told as: why, and what to do. */
    public static OutputException failure(Path file, IOException e) {
        IOException cause = rootCause(e);
        String reason = cause.getMessage() == null ? cause.toString() : cause.getMessage();
        String advice;
        if (reason.contains("No space left") || reason.contains("quota")) {
            advice = "the disk is full: free some space or choose another folder";
        } else if (cause instanceof NoSuchFileException) {
            advice = "its folder is gone: create it again or choose another";
            reason = "no such folder";
        } else {
            advice = "check the folder's permissions and disk, or choose another";
        }
        return new OutputException("cannot write '" + file + "' (" + reason + "): " + advice, e);
    }

    private static IOException rootCause(IOException e) {
        IOException root = e;
        while (root.getCause() instanceof IOException cause) {
            root = cause;
        }
        return root;
    }

    /** What a link points to, so that the link itself survives. */
    private static Path target(Path file) {
        if (Files.isSymbolicLink(file)) {
            try {
                return file.toRealPath();
            } catch (IOException e) {
                return file; // dangling: replaced by the file
            }
        }
        return file;
    }

    private static Path folder(Path file) {
        @Nullable Path parent = file.toAbsolutePath().getParent();
        return parent == null ? file.toAbsolutePath() : parent;
    }

    static Path temporaryFor(Path target) {
        String name =
                ".asg-" + ProcessHandle.current().pid() + "-" + COUNTER.incrementAndGet() + ".tmp";
        Path temporary = target.resolveSibling(name);
        // Left behind by a process that was killed and had our id.
        return Files.exists(temporary, LinkOption.NOFOLLOW_LINKS)
                ? temporaryFor(target)
                : temporary;
    }

    private static void deleteQuietly(Path temporary) {
        try {
            if (Files.exists(temporary, LinkOption.NOFOLLOW_LINKS)) {
                Files.delete(temporary);
            }
        } catch (IOException e) {
            System.getLogger(OutputFile.class.getName())
                    .log(System.Logger.Level.WARNING, "cannot delete {0}: {1}", temporary, e);
        }
    }
}
