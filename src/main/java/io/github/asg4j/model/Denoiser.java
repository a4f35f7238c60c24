// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The UNet of a bundle, plain or with run-time dilation: what it takes and gives, and bindings of
 * buffers to it. Thread-safe; every worker makes bindings of its own.
 */
public final class Denoiser {
    private static final long ANY = GraphContract.ANY;
    private static final String DILATION = "dilation";

    private final OrtSession session;
    private final Manifest.Denoiser entry;
    private final int channels;
    private final int hiddenWidth;
    private final int pooledWidth;
    private final List<String> dilationGroups;

    /**
     * @param dilationGroups G groups of the dilated graph, empty for the plain one
     * @param hiddenWidth D of the text encoders
     * @param pooledWidth P of the text encoders, 0 without
     */
    Denoiser(
            OrtSession session,
            Manifest.Denoiser entry,
            List<String> dilationGroups,
            int channels,
            int hiddenWidth,
            int pooledWidth) {
        this.session = session;
        this.entry = entry;
        this.channels = channels;
        this.hiddenWidth = hiddenWidth;
        this.pooledWidth = pooledWidth;
        this.dilationGroups = List.copyOf(dilationGroups);
        GraphContract graph = new GraphContract(session);
        List<String> all = new ArrayList<>(entry.inputs());
        if (!dilationGroups.isEmpty()) {
            all.add(DILATION);
            graph.input(DILATION, "float32", dilationGroups.size());
        }
        graph.onlyInputs(all);
        for (String input : entry.inputs()) {
            switch (input) {
                case "sample" -> graph.input(input, "float32", ANY, channels, ANY, ANY);
                case "timestep" -> graph.input(input, "float32", ANY);
                case "encoder_hidden_states" ->
                        graph.input(input, "float32", ANY, ANY, hiddenWidth);
                case "text_embeds" -> graph.input(input, "float32", ANY, pooledWidth);
                case "time_ids" -> graph.input(input, "float32", ANY, 6);
                case "token_weights" -> graph.input(input, "float32", ANY, ANY);
                default -> throw new AssertionError(input);
            }
        }
        graph.output("noise", "float32", ANY, channels, ANY, ANY);
        for (Manifest.Mask mask : entry.masks()) {
            graph.output(mask.output(), "float32", ANY, ANY, ANY);
        }
    }

    /** C of the latents. */
    public int channels() {
        return channels;
    }

    /** Groups of convolutions whose dilation is an input; empty for the plain graph. */
    public List<String> dilationGroups() {
        return dilationGroups;
    }

    /** Whether it takes SDXL's sizes and crop position. */
    public boolean hasTimeIds() {
        return entry.inputs().contains("time_ids");
    }

    /** Whether it takes the pooled text embedding. */
    public boolean hasPooled() {
        return entry.inputs().contains("text_embeds");
    }

    /** Whether it gives attention maps, and takes the token weights they are made with. */
    public boolean hasMaps() {
        return !entry.masks().isEmpty();
    }

    /** How many attention maps it gives, in the order of the manifest. */
    public int mapCount() {
        return entry.masks().size();
    }

    /** Cells of a block's map along an axis of {@code extent} latent cells. */
    public int mapSize(int block, int extent) {
        return Math.ceilDiv(extent, entry.masks().get(block).scale());
    }

    /**
     * Binds buffers for calls of one shape; all off-heap float32, with exactly these extents, where
     * the session runs.
     *
     * @param rows B
     * @param h latent rows, a multiple of the manifest's unet_multiple
     * @param w latent columns
     * @param sample [B, C, h, w]
     * @param timestep [B]
     * @param hidden [B, T, D]
     * @param pooled [B, P]; null for a model without
     * @param timeIds [B, 6]; null for a model without
     * @param tokenWeights [B, T]; null for a model without
     * @param dilation factors [G], at least 1, in host memory and read there before a run returns;
     *     null for the plain graph
     * @param noise [B, C, h, w], written
     * @param maps per block [B, h_b, w_b], written; empty: the maps are not wanted
     */
    public Binding bind(
            int rows,
            int h,
            int w,
            MemorySegment sample,
            MemorySegment timestep,
            MemorySegment hidden,
            @Nullable MemorySegment pooled,
            @Nullable MemorySegment timeIds,
            @Nullable MemorySegment tokenWeights,
            @Nullable MemorySegment dilation,
            MemorySegment noise,
            List<MemorySegment> maps) {
        long tokens = hidden.byteSize() / (4L * rows * hiddenWidth);
        Map<String, Tensor> inputs = new LinkedHashMap<>();
        inputs.put("sample", Tensor.floats(sample, rows, channels, h, w));
        inputs.put("timestep", Tensor.floats(timestep, rows));
        inputs.put("encoder_hidden_states", Tensor.floats(hidden, rows, tokens, hiddenWidth));
        if (pooled != null) {
            inputs.put("text_embeds", Tensor.floats(pooled, rows, pooledWidth));
        }
        if (timeIds != null) {
            inputs.put("time_ids", Tensor.floats(timeIds, rows, 6));
        }
        if (tokenWeights != null) {
            inputs.put("token_weights", Tensor.floats(tokenWeights, rows, tokens));
        }
        if (dilation != null) {
            inputs.put(DILATION, Tensor.hostFloats(dilation, dilationGroups.size()));
        }
        if (!maps.isEmpty() && maps.size() != mapCount()) {
            throw new IllegalArgumentException(
                    maps.size() + " maps for " + mapCount() + " blocks of " + session.name());
        }
        Map<String, Tensor> outputs = new LinkedHashMap<>();
        outputs.put("noise", Tensor.floats(noise, rows, channels, h, w));
        for (int block = 0; block < maps.size(); block++) {
            outputs.put(
                    entry.masks().get(block).output(),
                    Tensor.floats(maps.get(block), rows, mapSize(block, h), mapSize(block, w)));
        }
        return session.bind(inputs, outputs);
    }
}
