// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import io.github.asg4j.image.OutputFile;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;

/** Pictures as files KEY.png, or of another ending. */
record FolderStore(Path folder) implements PictureStore {
    /** Opens the folder, and takes away the halves of files that a killed process left. */
    static FolderStore open(Path folder) {
        try (DirectoryStream<Path> left = Files.newDirectoryStream(folder, ".asg-*.tmp")) {
            for (Path file : left) {
                if (!inWork(file)) {
                    Files.delete(file);
                }
            }
        } catch (IOException e) {
            throw OutputFile.failure(folder, e);
        }
        return new FolderStore(folder);
    }

    /** Whether another process, whose id the name has, may be writing a file. */
    private static boolean inWork(Path temporary) {
        String[] parts = String.valueOf(temporary.getFileName()).split("-");
        long process;
        try {
            process = Long.parseLong(parts[1]);
        } catch (NumberFormatException e) {
            return true; // none of ours
        }
        return process != ProcessHandle.current().pid() && ProcessHandle.of(process).isPresent();
    }

    @Override
    public Map<String, Object> put(Picture picture) {
        Path file = folder.resolve(picture.name());
        OutputFile.write(file, out -> out.write(picture.file()));
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.force(true);
        } catch (IOException e) {
            throw OutputFile.failure(file, e);
        }
        return Map.of("file", String.valueOf(file.getFileName()));
    }

    @Override
    public void close() {}
}
