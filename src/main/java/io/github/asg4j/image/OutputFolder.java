// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.OutputException;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.stream.Stream;

/**
 * A folder that appears complete or not at all: filled under a temporary name beside its place, then moved
 * there. Whatever fails, the temporary folder is deleted.
 */
public final class OutputFolder {
    private OutputFolder() {}

    /** Fills the folder; its exceptions end the writing. */
    @FunctionalInterface
    public interface Content {
        void writeTo(Path folder) throws IOException;
    }

    /**
     * Writes a folder.
     *
     * @param folder does not exist, or is empty
     * @throws OutputException if it cannot be written; says why and what to do
     */
    public static void write(Path folder, Content content) {
        check(folder, 0);
        Path target = folder.toAbsolutePath().normalize();
        Path temporary = OutputFile.temporaryFor(target);
        try {
            Files.createDirectory(temporary);
            content.writeTo(temporary);
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw OutputFile.failure(folder, e);
        } finally {
            // Moved away when all went well.
            delete(temporary);
        }
    }

    /**
     * Checks all that can be known before the work starts.
     *
     * @param bytes the most that its files will have; 0: unknown
     * @throws OutputException if {@code folder} could not be written
     */
    public static void check(Path folder, long bytes) {
        Path target = folder.toAbsolutePath().normalize();
        Path parent = target.getParent();
        if (Files.isSymbolicLink(target)) {
            throw new OutputException(
                    "'"
                            + folder
                            + "' is a link, in whose place no folder is put: give the name of a"
                            + " new folder");
        }
        if (parent == null || target.equals(Path.of("").toAbsolutePath().normalize())) {
            throw new OutputException(
                    "'"
                            + folder
                            + "' is the "
                            + (parent == null ? "root" : "current")
                            + " folder: give the name of a new one, as in "
                            + folder.resolve("bundle"));
        }
        if (Files.exists(target)) {
            requireEmpty(folder);
            requireMovable(folder, target, parent);
        }
        OutputFile.checkName(target.getFileName());
        OutputFile.checkFolder(parent);
        OutputFile.checkSpace(parent, bytes);
    }

    private static void requireEmpty(Path folder) {
        if (!Files.isDirectory(folder)) {
            throw new OutputException("'" + folder + "' is a file: give the name of a new folder");
        }
        try (Stream<Path> entries = Files.list(folder)) {
            if (entries.findAny().isPresent()) {
                throw new OutputException(
                        "the folder '"
                                + folder
                                + "' is not empty: give the name of a new one, or delete it");
            }
        } catch (IOException e) {
            throw OutputFile.failure(folder, e);
        }
    }

    /** Where a disk is mounted, nothing can be moved. */
    private static void requireMovable(Path folder, Path target, Path parent) {
        try {
            if (!Files.getFileStore(target).equals(Files.getFileStore(parent))) {
                throw new OutputException(
                        "'"
                                + folder
                                + "' is where a disk is mounted: give the name of a new folder on"
                                + " it, as in "
                                + folder.resolve("bundle"));
            }
        } catch (IOException e) {
            throw OutputFile.failure(folder, e);
        }
    }

    private static void delete(Path folder) {
        if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        try {
            Files.walkFileTree(
                    folder,
                    new SimpleFileVisitor<>() {
                        @Override
                        public FileVisitResult visitFile(Path file, BasicFileAttributes found)
                                throws IOException {
                            Files.delete(file);
                            return FileVisitResult.CONTINUE;
                        }

                        @Override
                        public FileVisitResult postVisitDirectory(Path left, IOException e)
                                throws IOException {
                            Files.delete(left);
                            return FileVisitResult.CONTINUE;
                        }
                    });
        } catch (IOException e) {
            System.getLogger(OutputFolder.class.getName())
                    .log(System.Logger.Level.WARNING, "cannot delete {0}: {1}", folder, e);
        }
    }
}
