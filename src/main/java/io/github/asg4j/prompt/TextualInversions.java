// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.prompt;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.Content;
import io.github.asg4j.PictureReport;
import io.github.asg4j.model.ClipTokenizer;
import io.github.asg4j.model.checkpoint.Elements;
import io.github.asg4j.model.checkpoint.SafeTensors;
import io.github.asg4j.model.checkpoint.Tensor;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Textual inversions of a folder: vectors that take the place of the tokens of their name. Files are
 * read when a prompt has their name.
 */
public final class TextualInversions {
    /** None. */
    public static final TextualInversions NONE = new TextualInversions(null, List.of());

    /** The tensor of AUTOMATIC1111's and InvokeAI's files. */
    private static final String OF_ONE = "emb_params";

    /** The tensors of files for SDXL, in the order of its text encoders. */
    private static final List<String> OF_TWO = List.of("clip_l", "clip_g");

    private final @Nullable NamedFiles files;
    private final List<Integer> widths;
    private final Map<String, Read> read = new TreeMap<>();

    private TextualInversions(@Nullable NamedFiles files, List<Integer> widths) {
        this.files = files;
        this.widths = List.copyOf(widths);
    }

    /**
     * Those of a folder.
     *
     * @param widths of the tokens of every CLIP text encoder, in order
     * @throws BadRequestException the folder cannot be listed
     */
    public static TextualInversions of(Path folder, List<Integer> widths) {
        return new TextualInversions(new NamedFiles(folder, "--embedding-folder"), widths);
    }

    /** What a file holds: the vectors for each text encoder. */
    private record Read(Path file, List<float[]> vectors) {}

    /** Names as a text encoder's tokens. */
    record Name(String name, int[] ids) {
        boolean isAt(int[] text, int at) {
            return at + ids.length <= text.length
                    && Arrays.equals(ids, 0, ids.length, text, at, at + ids.length);
        }
    }

    /** All names, those of many tokens first. */
    List<Name> names(ClipTokenizer tokenizer) {
        List<Name> names = new ArrayList<>();
        if (files != null) {
            for (String name : files.names()) {
                int[] ids = tokenizer.ids(name);
                if (ids.length > 0) {
                    names.add(new Name(name, ids));
                }
            }
        }
        names.sort(Comparator.comparingInt((Name name) -> name.ids().length).reversed());
        return names;
    }

    /**
     * The vectors of a file for a CLIP text encoder, one after the other.
     *
     * @throws BadRequestException it cannot be read, or is for another model
     */
    float[] vectors(String name, int encoder) {
        return read.computeIfAbsent(name, this::read).vectors().get(encoder);
    }

    private Read read(String name) {
        if (files == null) {
            throw new IllegalStateException("there is no folder with " + name);
        }
        Path file = files.find(name);
        try (SafeTensors tensors = SafeTensors.open(file)) {
            List<Tensor> found = tensors(file, tensors.tensors());
            List<float[]> vectors = new ArrayList<>();
            for (int i = 0; i < found.size(); i++) {
                require(file, found.get(i), widths.get(i));
                vectors.add(Elements.of(found.get(i)));
            }
            if (vectors.size() > 1
                    && vectors.get(0).length / widths.get(0)
                            != vectors.get(1).length / widths.get(1)) {
                throw new BadRequestException(
                        "embedding " + file + " has not as many vectors for each text encoder");
            }
            return new Read(file, vectors);
        } catch (BadBundleException e) {
            throw new BadRequestException("embedding " + e.getMessage(), e);
        }
    }

    /**
     * The files that were read so far, because a prompt has their names; by name.
     *
     * @throws BadRequestException one of them cannot be read any more
     */
    public List<PictureReport.AppliedEmbedding> used() {
        List<PictureReport.AppliedEmbedding> used = new ArrayList<>();
        read.forEach(
                (name, file) -> {
                    try {
                        String sha256 = Content.file(file.file()).sha256();
                        used.add(new PictureReport.AppliedEmbedding(name, sha256));
                    } catch (IOException e) {
                        throw new BadRequestException(
                                "embedding " + file.file() + " cannot be read (" + e + ")", e);
                    }
                });
        return used;
    }

    private List<Tensor> tensors(Path file, Map<String, Tensor> all) {
        boolean two = OF_TWO.stream().allMatch(all::containsKey);
        if (two && widths.size() == 2) {
            return OF_TWO.stream().map(all::get).toList();
        }
        Tensor one = all.size() == 1 ? all.values().iterator().next() : all.get(OF_ONE);
        if (!two && one != null && widths.size() == 1) {
            return List.of(one);
        }
        throw new BadRequestException(
                "embedding "
                        + file
                        + " holds "
                        + all.keySet()
                        + ", the model has "
                        + widths.size()
                        + (widths.size() == 1
                                ? " text encoder: one tensor is expected, such as " + OF_ONE
                                : " text encoders: " + OF_TWO + " are expected")
                        + "; use one that was made for the model");
    }

    private static void require(Path file, Tensor tensor, int width) {
        List<Long> shape = tensor.shape();
        long found = shape.isEmpty() ? 0 : shape.getLast();
        if (shape.isEmpty() || shape.size() > 2 || found != width || tensor.count() == 0) {
            throw new BadRequestException(
                    "embedding "
                            + file
                            + ": \""
                            + tensor.name()
                            + "\" is "
                            + shape
                            + ", vectors of "
                            + found
                            + " numbers; the model's text encoder takes vectors of "
                            + width
                            + ": use one that was made for the model");
        }
    }

    /** Width of the vectors for a CLIP text encoder. */
    int width(int encoder) {
        return widths.get(encoder);
    }
}
