// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** Writer of small safetensors files for tests, right ones and wrong ones. */
public final class SafeTensorsFile {
    private final StringBuilder header = new StringBuilder();
    private final ByteArrayOutputStream data = new ByteArrayOutputStream();

    /** Adds a string of the header's metadata; before the tensors. */
    public SafeTensorsFile metadata(String key, String value) {
        return raw("\"__metadata__\":{\"" + key + "\":\"" + value + "\"}");
    }

    /** Adds a float32 tensor. */
    public SafeTensorsFile floats(String name, List<Long> shape, float... values) {
        ByteBuffer bytes =
                ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (float value : values) {
            bytes.putFloat(value);
        }
        return tensor(name, "F32", shape, bytes.array());
    }

    /** Adds a tensor of any type. */
    public SafeTensorsFile tensor(String name, String type, List<Long> shape, byte[] bytes) {
        long at = data.size();
        data.writeBytes(bytes);
        return entry(name, type, shape, at, at + bytes.length);
    }

    /** Adds a tensor to the header only. */
    public SafeTensorsFile entry(String name, String type, List<Long> shape, long begin, long end) {
        String extents = shape.stream().map(String::valueOf).collect(Collectors.joining(","));
        return raw(
                "\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%d,%d]}"
                        .formatted(name, type, extents, begin, end));
    }

    /** What a file of Stable Diffusion 1.x is told by, and nothing else of it. */
    public static SafeTensorsFile likeStableDiffusion1() {
        String unet = "model.diffusion_model.";
        return new SafeTensorsFile()
                .metadata("modelspec.license", "CC0-1.0")
                .floats(unet + "input_blocks.0.0.weight", List.of(1L, 4L, 1L, 1L), new float[4])
                .floats(
                        unet + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                        List.of(1L, 768L),
                        new float[768])
                .floats("first_stage_model.decoder.conv_in.weight", List.of(1L), 0)
                .floats(
                        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
                        List.of(1L),
                        0);
    }

    /** Adds text to the header's object. */
    public SafeTensorsFile raw(String text) {
        header.append(header.isEmpty() ? "" : ",").append(text);
        return this;
    }

    /** Adds bytes behind the tensors. */
    public SafeTensorsFile bytes(byte[] bytes) {
        data.writeBytes(bytes);
        return this;
    }

    /** The whole file. */
    public byte[] toBytes() {
        byte[] text = ("{" + header + "}").getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(Long.BYTES + text.length + data.size())
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(text.length)
                .put(text)
                .put(data.toByteArray())
                .array();
    }

    /** Writes the file. */
    public Path write(Path file) {
        try {
            return Files.write(file, toBytes());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
