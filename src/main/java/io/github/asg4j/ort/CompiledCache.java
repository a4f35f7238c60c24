// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.ffi.UserCache;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/**
 * Compiled networks on disk, for the next process and for less memory: what is opened from here stays
 * mapped. A network is a folder, named by a key of all that it depends on, with ONNX Runtime's model of
 * it (.onnx), the compiler's file, and their sizes and checksums. It appears whole, by a rename; a
 * damaged one is removed. Those used longest ago leave when all take more than the limit.
 * Safe with several processes: what one removes another may have open.
 *
 * <p>The limit in GiB is the system property {@value #PROPERTY}, else the environment variable {@value
 * #VARIABLE}, else {@value #DEFAULT_GIB}; 0: nothing is kept or read.
 */
public final class CompiledCache {
    public static final String PROPERTY = "asg.compiled.cache";
    public static final String VARIABLE = "ASG_COMPILED_CACHE";

    /** Keeps nothing. */
    public static final CompiledCache NONE = new CompiledCache(Path.of(""), 0);

    private static final System.Logger LOG = System.getLogger(CompiledCache.class.getName());
    private static final int DEFAULT_GIB = 24;
    private static final String MODEL_ENDING = ".onnx";
    private static final String SUMS = "sums";
    private static final String UNFINISHED = "unfinished-";

    /** After which what a killed process left is removed. */
    private static final Duration ABANDONED = Duration.ofHours(6);

    /** Free space that has to remain: the compiler does not tell that a disk was full. */
    private static final long SPARE_BYTES = 256L << 20;

    /** Bytes that are summed at once. */
    private static final long PIECE = 1L << 30;

    private final Path folder;
    private final long limit;

    /**
     * @param limit bytes of all networks; 0: nothing is kept
     */
    public CompiledCache(Path folder, long limit) {
        this.folder = folder;
        this.limit = limit;
    }

    /**
     * This user's: {@code asg4j/compiled} in the cache folder.
     *
     * @throws BadRequestException the limit is no number
     */
    public static CompiledCache ofUser() {
        String named = System.getProperty(PROPERTY, System.getenv().getOrDefault(VARIABLE, ""));
        long gib = DEFAULT_GIB;
        if (!named.isEmpty()) {
            try {
                gib = Integer.parseUnsignedInt(named);
            } catch (NumberFormatException e) {
                throw new BadRequestException(
                        "-D"
                                + PROPERTY
                                + " or "
                                + VARIABLE
                                + " is \""
                                + named
                                + "\": a whole number of GiB is expected that compiled networks may"
                                + " take on disk; 0 keeps none");
            }
        }
        return new CompiledCache(UserCache.folder().resolve("compiled"), gib << 30);
    }

    /** Whether a network of so many bytes is kept here at most. */
    boolean keeps(long bytes) {
        try {
            if (limit == 0 || bytes > limit) {
                return false;
            }
            Files.createDirectories(folder);
            return Files.getFileStore(folder).getUsableSpace() > bytes + SPARE_BYTES;
        } catch (IOException e) {
            unusable(e);
            return false;
        }
    }

    /** The model of a network that is here and whole; null: there is none. */
    @Nullable Path find(String key) {
        Path entry = folder.resolve(key);
        if (limit == 0 || !Files.isDirectory(entry)) {
            return null;
        }
        try {
            if (Files.readString(entry.resolve(SUMS)).equals(sums(entry))) {
                Files.setLastModifiedTime(entry.resolve(SUMS), FileTime.from(Instant.now()));
                return model(entry);
            }
            LOG.log(Level.WARNING, "{0} is damaged; its network is compiled again", entry);
        } catch (NoSuchFileException e) {
            LOG.log(Level.DEBUG, "removed by another process", e);
        } catch (IOException e) {
            LOG.log(Level.WARNING, "{0} cannot be read ({1}); its network is compiled", entry, e);
        }
        remove(key);
        return null;
    }

    /**
     * Keeps a network.
     *
     * @param write compiles it and writes the model that it is given the path of, and the compiler's file
     *     beside it; its exceptions pass
     * @return the model; null: it could not be kept
     */
    @Nullable Path keep(String key, Consumer<Path> write) {
        try {
            Path unfinished = Files.createTempDirectory(folder, UNFINISHED);
            try {
                // Of its own: OpenVINO's plug-in knows what it has open by the path, also when that
                // is removed and another file takes its place.
                String token = unfinished.getFileName().toString().substring(UNFINISHED.length());
                Path model = unfinished.resolve("network-" + token + MODEL_ENDING);
                write.accept(model);
                if (!Files.isRegularFile(model)
                        || Files.getFileStore(folder).getUsableSpace() < SPARE_BYTES) {
                    LOG.log(
                            Level.WARNING,
                            "{0} has no room for a compiled network: every start compiles it",
                            folder);
                    return null;
                }
                Files.writeString(unfinished.resolve(SUMS), sums(unfinished));
                publish(unfinished, folder.resolve(key));
                makeRoom(key);
                return model(folder.resolve(key));
            } finally {
                delete(unfinished);
            }
        } catch (IOException e) {
            unusable(e);
            return null;
        }
    }

    /** The model of an entry. */
    private static Path model(Path entry) throws IOException {
        return list(entry).stream()
                .filter(file -> file.toString().endsWith(MODEL_ENDING))
                .findFirst()
                .orElseThrow(() -> new NoSuchFileException(entry + " has no model"));
    }

    private static void publish(Path unfinished, Path entry) throws IOException {
        try {
            Files.move(unfinished, entry, StandardCopyOption.ATOMIC_MOVE);
        } catch (FileSystemException e) {
            if (!Files.isDirectory(entry)) {
                throw e;
            }
            LOG.log(Level.DEBUG, "another process was faster", e);
        }
    }

    /** Removes a network that cannot be used. */
    void remove(String key) {
        try {
            delete(folder.resolve(key));
        } catch (IOException e) {
            unusable(e);
        }
    }

    /** A file in the folder, and when it was last used. */
    private record Entry(Path path, FileTime used, long bytes) {}

    private void makeRoom(String newest) throws IOException {
        long all = 0;
        List<Entry> entries = entries();
        for (Entry entry : entries) {
            all += entry.bytes();
        }
        for (Entry entry : entries) {
            String name = entry.path().getFileName().toString();
            boolean unfinished = name.startsWith(UNFINISHED);
            boolean leaves =
                    unfinished
                            ? entry.used().toInstant().isBefore(Instant.now().minus(ABANDONED))
                            : all > limit && !name.equals(newest);
            if (leaves) {
                delete(entry.path());
                all -= entry.bytes();
            }
        }
    }

    /** The one that was used longest ago first. */
    private List<Entry> entries() throws IOException {
        List<Entry> entries = new ArrayList<>();
        for (Path path : list(folder)) {
            try {
                long bytes = 0;
                for (Path file : list(path)) {
                    bytes += Files.size(file);
                }
                Path sums = path.resolve(SUMS);
                Path dated = Files.exists(sums) ? sums : path;
                entries.add(new Entry(path, Files.getLastModifiedTime(dated), bytes));
            } catch (NoSuchFileException e) {
                LOG.log(Level.DEBUG, "removed by another process", e);
            }
        }
        entries.sort(Comparator.comparing(Entry::used));
        return entries;
    }

    /** Names, sizes and checksums of the files of a network but for {@value #SUMS} itself. */
    private static String sums(Path entry) throws IOException {
        StringBuilder text = new StringBuilder();
        for (Path file : list(entry)) {
            if (!file.endsWith(SUMS)) {
                text.append(
                        String.format(
                                Locale.ROOT,
                                "%s %d %08x%n",
                                file.getFileName(),
                                Files.size(file),
                                checksum(file)));
            }
        }
        return text.toString();
    }

    private static long checksum(Path file) throws IOException {
        CRC32C sum = new CRC32C();
        try (Arena arena = Arena.ofConfined();
                FileChannel channel = FileChannel.open(file)) {
            MemorySegment all = channel.map(MapMode.READ_ONLY, 0, channel.size(), arena);
            for (long at = 0; at < all.byteSize(); at += PIECE) {
                sum.update(all.asSlice(at, Math.min(PIECE, all.byteSize() - at)).asByteBuffer());
            }
        }
        return sum.getValue();
    }

    private static List<Path> list(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private static void delete(Path folder) throws IOException {
        if (Files.isDirectory(folder)) {
            for (Path file : list(folder)) {
                Files.deleteIfExists(file);
            }
            Files.deleteIfExists(folder);
        }
    }

    private void unusable(IOException e) {
        LOG.log(
                Level.WARNING,
                "compiled networks cannot be kept in {0} ({1}): every start compiles them anew;"
                        + " make the folder writable or set XDG_CACHE_HOME",
                folder,
                e);
    }
}
