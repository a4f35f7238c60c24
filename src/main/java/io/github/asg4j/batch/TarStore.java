// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.image.OutputFile;

import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Pictures in tar files 000000.tar, 000001.tar and so on, in the convention of WebDataset: KEY.json,
 * KEY.txt (the prompt) and KEY.png one after the other. Entries are of the first second of 1970, so
 * that the same pictures give the same bytes.
 */
final class TarStore implements PictureStore {
    private static final int BLOCK_BYTES = 512;
    private static final int MODE = 0644;

    /** What follows the last entry of a tar file. */
    private static final byte[] END = new byte[2 * BLOCK_BYTES];

    /** Names of the files. */
    private static final String NAMES = "[0-9][0-9][0-9][0-9][0-9][0-9].tar";

    private final Path folder;
    private final int picturesOfFile;
    private long stored;
    private @Nullable FileChannel channel;

    private TarStore(Path folder, int picturesOfFile, long stored) {
        this.folder = folder;
        this.picturesOfFile = picturesOfFile;
        this.stored = stored;
    }

    /**
     * Refuses a folder for a new batch that has files of such names: when it goes on, those without a
     * record are deleted.
     *
     * @throws BadRequestException naming one
     */
    static void checkNew(Path folder) {
        try (DirectoryStream<Path> tars = Files.newDirectoryStream(folder, NAMES)) {
            for (Path tar : tars) {
                throw new BadRequestException(
                        "'" + tar + "' is there already, of no batch: choose another folder");
            }
        } catch (IOException e) {
            throw OutputFile.failure(folder, e);
        }
    }

    /**
     * Opens a folder and cuts off what has no record.
     *
     * @param picturesOfFile how many pictures a file takes
     */
    static TarStore open(Path folder, int picturesOfFile, Records records) {
        TarStore store = new TarStore(folder, picturesOfFile, records.stored());
        Path reached = folder;
        try {
            if (records.last().isPresent()) {
                Records.Place last = records.last().get();
                reached = folder.resolve(last.file());
                FileChannel open = FileChannel.open(reached, StandardOpenOption.WRITE);
                store.channel = open;
                open.truncate(last.offset() + padded(last.bytes()));
                open.position(open.size());
                store.endIfFull();
            }
            store.deleteWithoutRecord();
            return store;
        } catch (IOException e) {
            throw OutputFile.failure(reached, e);
        }
    }

    private void deleteWithoutRecord() throws IOException {
        long files = Math.ceilDiv(stored, picturesOfFile);
        try (DirectoryStream<Path> tars = Files.newDirectoryStream(folder, NAMES)) {
            for (Path tar : tars) {
                String name = String.valueOf(tar.getFileName());
                if (Long.parseLong(name.substring(0, name.indexOf('.'))) >= files) {
                    Files.delete(tar);
                }
            }
        }
    }

    @Override
    public Map<String, Object> put(String key, byte[] png, String about, String prompt) {
        Path file = folder.resolve(String.format(Locale.ROOT, "%06d.tar", stored / picturesOfFile));
        try {
            FileChannel open = channel;
            if (open == null) {
                open =
                        FileChannel.open(
                                file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                channel = open;
            }
            byte[] entries = entries(key, png, about, prompt);
            write(open, entries);
            long end = open.position();
            stored++;
            endIfFull();
            Map<String, Object> place = new LinkedHashMap<>();
            place.put("file", String.valueOf(file.getFileName()));
            place.put("offset", end - padded(png.length));
            return place;
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
    }

    private static byte[] entries(String key, byte[] png, String about, String prompt)
            throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(png.length + (1 << 13));
        try (bytes) {
            // Not closed: that would write the end of a file.
            @SuppressWarnings("resource")
            TarArchiveOutputStream tar =
                    new TarArchiveOutputStream(bytes, BLOCK_BYTES, StandardCharsets.UTF_8.name());
            add(tar, key + ".json", about.getBytes(StandardCharsets.UTF_8));
            add(tar, key + ".txt", prompt.getBytes(StandardCharsets.UTF_8));
            add(tar, key + ".png", png);
        }
        return bytes.toByteArray();
    }

    private static void add(TarArchiveOutputStream tar, String name, byte[] content)
            throws IOException {
        TarArchiveEntry entry = new TarArchiveEntry(name);
        entry.setSize(content.length);
        entry.setMode(MODE);
        entry.setModTime(0);
        entry.setIds(0, 0);
        entry.setNames("", "");
        tar.putArchiveEntry(entry);
        tar.write(content);
        tar.closeArchiveEntry();
    }

    private void endIfFull() throws IOException {
        if (stored % picturesOfFile == 0) {
            end();
        }
    }

    private void end() throws IOException {
        FileChannel open = channel;
        if (open != null) {
            channel = null;
            try (open) {
                write(open, END);
            }
        }
    }

    private static void write(FileChannel channel, byte[] bytes) throws IOException {
        ByteBuffer rest = ByteBuffer.wrap(bytes);
        while (rest.hasRemaining()) {
            channel.write(rest);
        }
        channel.force(true);
    }

    private static long padded(long bytes) {
        return Math.ceilDiv(bytes, (long) BLOCK_BYTES) * BLOCK_BYTES;
    }

    @Override
    public void close() {
        try {
            end();
        } catch (IOException e) {
            throw OutputFile.failure(folder, e);
        }
    }
}
