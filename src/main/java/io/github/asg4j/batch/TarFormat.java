// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import com.fasterxml.jackson.databind.JsonNode;

import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/**
 * Tar files in the convention of WebDataset: KEY.json, KEY.txt (the prompt) and KEY.png (or KEY.jpg, or
 * KEY.webp) one after the other. Entries are of the first second of 1970, so that the same pictures give
 * the same bytes.
 */
final class TarFormat implements FileFormat {
    private static final int BLOCK_BYTES = 512;
    private static final int MODE = 0644;

    @Override
    public String ending() {
        return ".tar";
    }

    @Override
    public byte[] begin() {
        return new byte[0];
    }

    @Override
    public byte[] picture(long start, PictureStore.Picture picture) {
        String key = picture.named().key();
        Object prompt = picture.named().request().get("prompt");
        Map<String, Object> about = picture.named().about();
        about.putAll(picture.hashes());
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(picture.file().length + (1 << 13));
        try (bytes) {
            // Not closed: that would write the end of a file.
            @SuppressWarnings("resource")
            TarArchiveOutputStream tar =
                    new TarArchiveOutputStream(bytes, BLOCK_BYTES, StandardCharsets.UTF_8.name());
            add(tar, key + ".json", JsonLines.text(about).getBytes(StandardCharsets.UTF_8));
            add(tar, key + ".txt", String.valueOf(prompt).getBytes(StandardCharsets.UTF_8));
            add(tar, picture.name(), picture.file());
        } catch (IOException e) {
            throw new UncheckedIOException("memory does not fail", e);
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

    @Override
    public long padding(long pictureBytes) {
        return Math.ceilDiv(pictureBytes, (long) BLOCK_BYTES) * BLOCK_BYTES - pictureBytes;
    }

    @Override
    public byte[] end() {
        return new byte[2 * BLOCK_BYTES];
    }

    @Override
    public void resume(List<JsonNode> records) {}
}
