// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.OutputException;
import io.github.asg4j.image.LockedFile;
import io.github.asg4j.image.OutputFile;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The folder of an evaluation: pictures as PNG, and {@code pictures.jsonl}, to which each finished
 * picture is one line, appended at once. A line that says how a row is drawn comes before the row's
 * first picture, so that pictures of two settings are never mixed under one name. A last line that
 * was cut off by the end of a process is taken away.
 *
 * <p>One process at a time: the file is locked while it is open.
 */
final class ResultFolder implements AutoCloseable {
    static final String RESULTS = "pictures.jsonl";
    private static final String DRAWN_AS = "drawn_as";

    private static final JsonMapper JSON = JsonMapper.builder().build();

    private final Path folder;
    private final FileChannel channel;
    private final Map<EvaluationRow.Key, String> drawnAs = new LinkedHashMap<>();
    private final List<DrawnPicture> pictures = new ArrayList<>();

    private ResultFolder(Path folder, FileChannel channel) {
        this.folder = folder;
        this.channel = channel;
    }

    /**
     * Opens a folder, or makes it.
     *
     * @throws OutputException if it cannot be written, or another process has it open
     * @throws BadRequestException if its results are damaged
     */
    static ResultFolder open(Path folder) {
        Path file = folder.resolve(RESULTS);
        try {
            Files.createDirectories(folder);
            FileChannel channel = LockedFile.open(file, "another eval");
            ResultFolder results = new ResultFolder(folder, channel);
            try {
                results.read(file);
            } catch (RuntimeException | IOException e) {
                channel.close();
                throw e;
            }
            return results;
        } catch (IOException e) {
            throw unwritable(folder, e);
        }
    }

    private static OutputException unwritable(Path folder, IOException e) {
        return new OutputException(
                "cannot write into '"
                        + folder
                        + "' ("
                        + e
                        + "): choose another folder or allow writing",
                e);
    }

    private void read(Path file) throws IOException {
        String text = Files.readString(file, StandardCharsets.UTF_8);
        int complete = text.lastIndexOf('\n') + 1;
        String[] lines = complete == 0 ? new String[0] : text.substring(0, complete).split("\n");
        for (int i = 0; i < lines.length; i++) {
            try {
                JsonNode line = JSON.readTree(lines[i]);
                if (line.has(DRAWN_AS)) {
                    take(DrawnPicture.key(line), line.get(DRAWN_AS).asText());
                } else {
                    take(DrawnPicture.parse(line));
                }
            } catch (JsonProcessingException | IllegalArgumentException e) {
                throw new BadRequestException(
                        "'"
                                + file
                                + "' is damaged in line "
                                + (i + 1)
                                + ": delete that line, its picture will be drawn again",
                        e);
            }
        }
        // Without its file a picture is not there.
        pictures.removeIf(p -> !Files.isRegularFile(file(p.key(), p.index())));
        int bytes = text.substring(0, complete).getBytes(StandardCharsets.UTF_8).length;
        channel.truncate(bytes);
        channel.position(bytes);
    }

    Path folder() {
        return folder;
    }

    /** All pictures so far, in the order in which they were finished. */
    List<DrawnPicture> pictures() {
        return Collections.unmodifiableList(pictures);
    }

    /** File of a picture. */
    Path file(EvaluationRow.Key key, int index) {
        return folder.resolve(key.folder()).resolve(String.format("%04d.png", index));
    }

    /**
     * Says how a row is drawn.
     *
     * @param how everything that determines its pictures but prompt and seed
     * @param redo throw away what was drawn otherwise
     * @throws BadRequestException if it was drawn otherwise before, and is not to be redone
     */
    void begin(EvaluationRow.Key key, String how, boolean redo) {
        String before = drawnAs.get(key);
        if (how.equals(before)) {
            return;
        }
        if (before != null && !redo) {
            throw new BadRequestException(
                    "'"
                            + folder
                            + "' holds pictures of "
                            + key
                            + " that were drawn otherwise: "
                            + difference(before, how)
                            + ". Give the setting another name, choose another folder, or draw them"
                            + " again with --redo");
        }
        take(key, how);
        Map<String, Object> line = new LinkedHashMap<>();
        DrawnPicture.putKey(line, key);
        line.put(DRAWN_AS, how);
        append(line);
    }

    /** A row is drawn so from here on: what was drawn otherwise is forgotten. */
    private void take(EvaluationRow.Key key, String how) {
        if (!how.equals(drawnAs.put(key, how))) {
            pictures.removeIf(p -> p.key().equals(key));
        }
    }

    /** Where two descriptions part. */
    private static String difference(String before, String now) {
        int at = 0;
        while (at < Math.min(before.length(), now.length())
                && before.charAt(at) == now.charAt(at)) {
            at++;
        }
        int from =
                Math.max(
                        before.lastIndexOf(' ', Math.max(0, at - 1)),
                        before.lastIndexOf('[', at - 1));
        from = Math.max(0, from + 1);
        return "\"" + cut(before, from) + "\" then, \"" + cut(now, from) + "\" now";
    }

    private static String cut(String text, int from) {
        int to = Math.min(text.length(), from + 60);
        return text.substring(Math.min(from, text.length()), to);
    }

    /** Adds a finished picture. */
    void add(DrawnPicture picture) {
        take(picture);
        append(picture.toMap());
    }

    private void take(DrawnPicture picture) {
        pictures.removeIf(p -> p.key().equals(picture.key()) && p.index() == picture.index());
        pictures.add(picture);
    }

    private void append(Map<String, ?> line) {
        try {
            byte[] text = (JSON.writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8);
            ByteBuffer rest = ByteBuffer.wrap(text);
            while (rest.hasRemaining()) {
                channel.write(rest);
            }
            channel.force(false);
        } catch (IOException e) {
            throw unwritable(folder, e);
        }
    }

    /** Writes an object as a file of the folder. */
    void write(String name, Map<String, ?> object) {
        OutputFile.write(
                folder.resolve(name),
                out -> {
                    out.write(JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(object));
                    out.write('\n');
                });
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw unwritable(folder, e);
        }
    }
}
