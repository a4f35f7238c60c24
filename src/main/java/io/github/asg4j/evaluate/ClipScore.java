// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.ClipTokenizer;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * 100 times the cosine of a picture's and its prompt's CLIP embeddings, at least 0 (Hessel et al.,
 * arXiv 2104.08718, without its factor 2.5). Of a folder that {@code asg4j-export metrics clip}
 * wrote. One thread at a time.
 */
final class ClipScore implements AutoCloseable {
    private static final String FEATURES = "features";

    private final ImageNetwork images;
    private final OrtSession texts;
    private final ClipTokenizer tokenizer;
    private final int length;
    private final Map<String, float[]> known = new HashMap<>();

    private ClipScore(ImageNetwork images, OrtSession texts, ClipTokenizer tokenizer, int length) {
        this.images = images;
        this.texts = texts;
        this.tokenizer = tokenizer;
        this.length = length;
    }

    /**
     * @throws BadRequestException if the folder is not there
     * @throws io.github.asg4j.BadBundleException if it holds other networks
     */
    static ClipScore open(Path folder, int threads) {
        Path words = folder.resolve("tokenizer.json");
        ClipTokenizer tokenizer;
        try {
            tokenizer = ClipTokenizer.parse(words.toString(), Files.readAllBytes(words));
        } catch (IOException e) {
            throw new BadRequestException(
                    "the CLIP folder '"
                            + folder
                            + "' has no tokenizer.json ("
                            + e
                            + "): make it with asg4j-export metrics clip",
                    e);
        }
        OrtSession texts = OrtSession.open(folder.resolve("clip_text.onnx"), threads);
        try {
            int length = Math.toIntExact(texts.inputs().firstEntry().getValue().dims().get(1));
            ImageNetwork images =
                    new ImageNetwork(
                            OrtSession.open(folder.resolve("clip_image.onnx"), threads),
                            "image",
                            List.of(FEATURES));
            return new ClipScore(images, texts, tokenizer, length);
        } catch (RuntimeException e) {
            texts.close();
            throw e;
        }
    }

    double of(Picture picture, String prompt) {
        images.run(picture.resized(images.width(), images.height()));
        float[] image = images.result(FEATURES);
        float[] text = known.computeIfAbsent(prompt, this::embedding);
        double dot = 0;
        double a = 0;
        double b = 0;
        for (int i = 0; i < image.length; i++) {
            dot += (double) image[i] * text[i];
            a += (double) image[i] * image[i];
            b += (double) text[i] * text[i];
        }
        return 100 * Math.max(0, dot / Math.sqrt(a * b));
    }

    private float[] embedding(String prompt) {
        int[] ids = tokenizer.encode(prompt, length).ids();
        int width = images.size(FEATURES);
        try (Memory memory = new Memory("CLIP text")) {
            MemorySegment in = memory.allocate(8L * length, "tokens");
            MemorySegment out = memory.floats(width, FEATURES);
            for (int i = 0; i < length; i++) {
                in.setAtIndex(ValueLayout.JAVA_LONG, i, ids[i]);
            }
            try (Binding binding =
                    texts.bind(
                            Map.of("input_ids", Tensor.longs(in, 1, length)),
                            Map.of(FEATURES, Tensor.floats(out, 1, width)))) {
                binding.run();
            }
            return out.toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    @Override
    public void close() {
        images.close();
        texts.close();
    }
}
