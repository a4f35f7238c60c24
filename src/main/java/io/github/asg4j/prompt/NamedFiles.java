// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import io.github.asg4j.BadRequestException;

import java.io.IOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Files of a folder, and of the folders in it, by their names without ending. */
final class NamedFiles {
    private static final String READ = ".safetensors";

    /** Pickle files, which may run code when they are read. */
    private static final List<String> REFUSED = List.of(".pt", ".bin", ".ckpt");

    private static final int MAX_DEPTH = 16;
    private static final int MAX_SHOWN = 8;

    private final Path folder;
    private final String option;
    private final Map<String, List<Path>> files = new TreeMap<>();

    /**
     * Lists a folder.
     *
     * @param option that named it, for messages
     * @throws BadRequestException there is no such folder
     */
    NamedFiles(Path folder, String option) {
        this.folder = folder;
        this.option = option;
        try (Stream<Path> all = Files.walk(folder, MAX_DEPTH, FileVisitOption.FOLLOW_LINKS)) {
            all.filter(Files::isRegularFile).sorted().forEach(this::add);
        } catch (IOException | java.io.UncheckedIOException e) {
            throw new BadRequestException(
                    option + " " + folder + " cannot be listed (" + e + "): give a folder", e);
        }
    }

    private void add(Path file) {
        String name = file.getFileName().toString();
        int dot = name.lastIndexOf('.');
        String ending = dot < 0 ? "" : name.substring(dot).toLowerCase(Locale.ROOT);
        if (ending.equals(READ) || REFUSED.contains(ending)) {
            files.computeIfAbsent(name.substring(0, dot), key -> new ArrayList<>()).add(file);
        }
    }

    /** Files that {@link #find} may return, as paths below the folder. */
    List<Path> readable() {
        return files.values().stream()
                .flatMap(List::stream)
                .filter(NamedFiles::isRead)
                .map(folder::relativize)
                .toList();
    }

    /** Names of all files. */
    Iterable<String> names() {
        return files.keySet();
    }

    /**
     * The file of a name: of that spelling, or the only one where upper and lower case are not told
     * apart.
     *
     * @throws BadRequestException there is none, there are several, or it is a pickle file
     */
    Path find(String name) {
        List<Path> found = new ArrayList<>(files.getOrDefault(name, List.of()));
        if (found.isEmpty()) {
            files.forEach(
                    (other, paths) -> {
                        if (other.equalsIgnoreCase(name)) {
                            found.addAll(paths);
                        }
                    });
        }
        List<Path> readable = found.stream().filter(NamedFiles::isRead).toList();
        if (readable.size() == 1) {
            return readable.getFirst();
        }
        if (readable.size() > 1) {
            throw new BadRequestException(
                    "\"" + name + "\" means " + readable + ": rename all but one of them");
        }
        if (!found.isEmpty()) {
            throw new BadRequestException(
                    found.getFirst()
                            + " is a pickle file, which may run code when it is read: convert it"
                            + " where you trust it, with torch.load(FILE, weights_only=True) and"
                            + " safetensors.torch.save_file, to a .safetensors file");
        }
        List<String> some = files.keySet().stream().limit(MAX_SHOWN).toList();
        throw new BadRequestException(
                "there is no file \""
                        + name
                        + READ
                        + "\" in "
                        + option
                        + " "
                        + folder
                        + (some.isEmpty()
                                ? ", which holds none"
                                : ", which holds "
                                        + String.join(", ", some)
                                        + (files.size() > MAX_SHOWN
                                                ? " and " + (files.size() - MAX_SHOWN) + " more"
                                                : "")));
    }

    private static boolean isRead(Path file) {
        return file.toString().toLowerCase(Locale.ROOT).endsWith(READ);
    }
}
