// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.image.OutputFile;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** Pictures in files of many: 000000.tar, 000001.tar and so on. */
final class FileStore implements PictureStore {
    private static final String DIGITS = "[0-9][0-9][0-9][0-9][0-9][0-9]";

    private final Path folder;
    private final FileFormat format;
    private final int picturesOfFile;
    private long stored;
    private @Nullable FileChannel channel;

    private FileStore(Path folder, FileFormat format, int picturesOfFile, long stored) {
        this.folder = folder;
        this.format = format;
        this.picturesOfFile = picturesOfFile;
        this.stored = stored;
    }

    /**
     * Refuses a folder for a new batch that has such files: those with names of a batch's would be deleted
     * when it goes on, and others make up a table with them, as those of Spark do.
     *
     * @throws BadRequestException naming one
     */
    static void checkNew(Path folder, FileFormat format) {
        try (DirectoryStream<Path> files =
                Files.newDirectoryStream(folder, "*" + format.ending())) {
            for (Path file : files) {
                throw new BadRequestException(
                        "'" + file + "' is there already, of no batch: choose another folder");
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
    static FileStore open(Path folder, FileFormat format, int picturesOfFile, Records records) {
        FileStore store = new FileStore(folder, format, picturesOfFile, records.stored());
        Path reached = folder;
        try {
            if (records.last().isPresent()) {
                Records.Place last = records.last().get();
                reached = folder.resolve(last.file());
                format.resume(records.ofLastFile());
                FileChannel open = FileChannel.open(reached, StandardOpenOption.WRITE);
                store.channel = open;
                open.truncate(last.offset() + last.bytes() + format.padding(last.bytes()));
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
        try (DirectoryStream<Path> written =
                Files.newDirectoryStream(folder, DIGITS + format.ending())) {
            for (Path file : written) {
                String name = String.valueOf(file.getFileName());
                if (Long.parseLong(name.substring(0, name.indexOf('.'))) >= files) {
                    Files.delete(file);
                }
            }
        }
    }

    @Override
    public Map<String, Object> put(Picture picture) {
        String name = String.format(Locale.ROOT, "%06d", stored / picturesOfFile) + format.ending();
        Path file = folder.resolve(name);
        try {
            FileChannel open = channel;
            if (open == null) {
                open =
                        FileChannel.open(
                                file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                channel = open;
                write(open, format.begin());
            }
            write(open, format.picture(open.position(), picture));
            long end = open.position();
            int bytes = picture.file().length;
            stored++;
            endIfFull();
            Map<String, Object> place = new LinkedHashMap<>();
            place.put("file", name);
            place.put("offset", end - format.padding(bytes) - bytes);
            return place;
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
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
                write(open, format.end());
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

    @Override
    public void close() {
        try {
            end();
        } catch (IOException e) {
            throw OutputFile.failure(folder, e);
        }
    }
}
