// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.image;

import io.github.asg4j.OutputException;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A file that one process at a time reads and writes. */
public final class LockedFile {
    private LockedFile() {}

    /**
     * Opens a file, or makes it, and locks it until its channel is closed.
     *
     * @param other who may have it open, for the message, as in "another batch"
     * @throws OutputException if somebody has it open
     */
    public static FileChannel open(Path file, String other) throws IOException {
        FileChannel channel =
                FileChannel.open(
                        file,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE);
        if (!locked(channel)) {
            channel.close();
            throw new OutputException(
                    other
                            + " is writing into '"
                            + file.getParent()
                            + "': wait for its end, or choose another folder");
        }
        return channel;
    }

    private static boolean locked(FileChannel channel) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            return false; // by this process
        }
    }
}
