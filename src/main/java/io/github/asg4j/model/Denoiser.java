// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;
import io.github.asg4j.ort.TensorInfo;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The UNet of a bundle, plain or with run-time dilation: what it takes and gives, and bindings of
 * buffers to it. Thread-safe; every worker makes bindings of its own.
 */
public final class Denoiser {
    private static final long ANY = GraphContract.ANY;
    private static final String DILATION = "dilation";
    private static final int PLACE_WIDTH = 6;
    private static final int SCORED_PLACE_WIDTH = 5;

    private final OrtSession session;
    private final Manifest.Denoiser entry;
    private final int channels;
    private final int hiddenWidth;
    private final int pooledWidth;
    private final List<String> dilationGroups;
    private final List<ControlManifest.Residual> residuals;

    /** What goes on from this one's features ({@link FeatureCut}); null: it gives none. */
    private final @Nullable OrtSession shallow;

    /**
     * @param dilationGroups G groups of the dilated graph, empty for the plain one
     * @param residuals of control networks that the graph takes ({@link ControlInputs}); empty: none
     * @param shallow graph that takes the features which {@code session} gives; null: it gives none
     * @param hiddenWidth D of the text encoders
     * @param pooledWidth P of the text encoders, 0 without
     */
    Denoiser(
            OrtSession session,
            Manifest.Denoiser entry,
            List<String> dilationGroups,
            List<ControlManifest.Residual> residuals,
            @Nullable OrtSession shallow,
            int channels,
            int hiddenWidth,
            int pooledWidth) {
        this.session = session;
        this.entry = entry;
        this.channels = channels;
        this.hiddenWidth = hiddenWidth;
        this.pooledWidth = pooledWidth;
        this.dilationGroups = List.copyOf(dilationGroups);
        this.residuals = List.copyOf(residuals);
        this.shallow = shallow;
        GraphContract graph = new GraphContract(session);
        requirePlain();
        List<String> all =
                new ArrayList<>(entry.inputs().stream().map(Manifest.Input::name).toList());
        if (!dilationGroups.isEmpty()) {
            all.add(DILATION);
            graph.input(DILATION, "float32", dilationGroups.size());
        }
        for (int i = 0; i < residuals.size(); i++) {
            all.add(ControlInputs.name(i));
            int width = residuals.get(i).channels();
            graph.input(ControlInputs.name(i), "float32", ANY, width, ANY, ANY);
        }
        graph.onlyInputs(all);
        for (Manifest.Input input : entry.inputs()) {
            graph.input(input.name(), "float32", dims(input, ANY, ANY, ANY, ANY));
        }
        graph.output("noise", "float32", ANY, channels, ANY, ANY);
        for (Manifest.Mask mask : entry.masks()) {
            graph.output(mask.output(), "float32", ANY, ANY, ANY);
        }
        if (shallow != null) {
            graph.output(FeatureCut.FEATURE, "float32", ANY, entry.width(), ANY, ANY);
            GraphContract rest = new GraphContract(shallow);
            rest.input(FeatureCut.FEATURE, "float32", ANY, entry.width(), ANY, ANY);
            rest.output("noise", "float32", ANY, channels, ANY, ANY);
        }
    }

    /** Refuses what takes more than latents: to export it again would not help. */
    private void requirePlain() {
        TensorInfo sample =
                entry.inputs().stream()
                        .filter(input -> input.role() == InputRole.SAMPLE)
                        .map(input -> session.inputs().get(input.name()))
                        .filter(Objects::nonNull)
                        .findFirst()
                        .orElse(null);
        TensorInfo noise = session.outputs().get("noise");
        if (sample == null
                || noise == null
                || sample.dims().size() != 4
                || noise.dims().size() != 4) {
            return; // for the contract to say
        }
        long in = sample.dims().get(1);
        long out = noise.dims().get(1);
        if (in > out && out > 0) {
            throw new BadBundleException(
                    session.name()
                            + " takes "
                            + in
                            + " channels and gives "
                            + out
                            + (in == 2 * out + 1
                                    ? ": it is a network for inpainting, whose mask and masked"
                                            + " picture have to be the input \"inpaint\": export it"
                                            + " with asg4j-export"
                                    : ": what it takes beside the latents is a picture, as models"
                                            + " for editing and depth maps do. They are not"
                                            + " supported: use the plain text-to-image model"));
        }
    }

    /** Whether it takes a mask and a masked picture. */
    public boolean inpaints() {
        return entry.takes(InputRole.INPAINT);
    }

    /** C of the latents. */
    public int channels() {
        return channels;
    }

    /** Groups of convolutions whose dilation is an input; empty for the plain graph. */
    public List<String> dilationGroups() {
        return dilationGroups;
    }

    /** Channels of the features that it gives, {@code [B, channels, h, w]}; 0: it gives none. */
    public int featureChannels() {
        return shallow == null ? 0 : entry.width();
    }

    /** What it takes of control networks; empty: it is not controlled. */
    public List<ControlManifest.Residual> residuals() {
        return residuals;
    }

    /** What it takes, in the order of the manifest; without the factors of dilation. */
    public List<Manifest.Input> inputs() {
        return entry.inputs();
    }

    /** Extents of an input for so many rows, tokens and latent cells. */
    private long[] dims(Manifest.Input input, long rows, long tokens, long h, long w) {
        return switch (input.role()) {
            case SAMPLE -> new long[] {rows, channels, h, w};
            case INPAINT -> new long[] {rows, 1L + channels, h, w};
            case TIMESTEP -> new long[] {rows};
            case TEXT -> new long[] {rows, tokens, hiddenWidth};
            case POOLED, PLACE, GUIDANCE -> new long[] {rows, rowWidth(input)};
            case TOKEN_WEIGHTS -> new long[] {rows, tokens};
        };
    }

    /** Values per row of an input that is a vector per row. */
    public int rowWidth(Manifest.Input input) {
        return switch (input.role()) {
            case TIMESTEP -> 1;
            case POOLED -> pooledWidth;
            case PLACE -> input.scores() == null ? PLACE_WIDTH : SCORED_PLACE_WIDTH;
            case GUIDANCE -> input.width();
            case SAMPLE, INPAINT, TEXT, TOKEN_WEIGHTS ->
                    throw new IllegalArgumentException(input + " is no vector per row");
        };
    }

    /** The scores that its {@link InputRole#PLACE} ends with; null: it has none. */
    public Manifest.@Nullable AestheticScores aestheticScores() {
        Manifest.Input place = entry.input(InputRole.PLACE);
        return place == null ? null : place.scores();
    }

    /** Whether it gives attention maps, and takes the token weights they are made with. */
    public boolean hasMaps() {
        return !entry.masks().isEmpty();
    }

    /** What it runs. */
    OrtSession session() {
        return session;
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
     * Compiles the network, and the shallow one if there is one, for calls of these shapes, where its place
     * wants that.
     *
     * @param tokens T
     * @throws io.github.asg4j.DeviceException it cannot be compiled
     */
    public void compile(List<CallShape> calls, long tokens) {
        List<Map<String, long[]>> shapes = new ArrayList<>();
        for (CallShape call : calls) {
            Map<String, long[]> inputs = new LinkedHashMap<>();
            for (Manifest.Input input : entry.inputs()) {
                inputs.put(
                        input.name(),
                        dims(input, call.rows(), tokens, call.height(), call.width()));
            }
            inputs.put(
                    FeatureCut.FEATURE,
                    new long[] {call.rows(), entry.width(), call.height(), call.width()});
            shapes.add(inputs);
        }
        session.compile(shapes);
        if (shallow != null) {
            shallow.compile(shapes);
        }
    }

    /**
     * Binds buffers for calls of one shape; all off-heap float32, with exactly these extents, where
     * the session runs.
     *
     * @param rows B
     * @param h latent rows, a multiple of the manifest's unet_multiple
     * @param w latent columns
     * @param inputs a buffer per input of the graph, by role
     * @param dilation factors [G], at least 1, in host memory and read there before a run returns;
     *     null for the plain graph
     * @param controls residuals of control networks [B, C_i, h / scale_i, w / scale_i], in their order;
     *     empty for a network that takes none
     * @param noise [B, C, h, w], written
     * @param maps per block [B, h_b, w_b], written; empty: the maps are not wanted
     * @throws io.github.asg4j.BadBundleException an input is missing
     */
    public Binding bind(
            int rows,
            int h,
            int w,
            Map<InputRole, MemorySegment> inputs,
            @Nullable MemorySegment dilation,
            List<MemorySegment> controls,
            MemorySegment noise,
            List<MemorySegment> maps) {
        return bind(rows, h, w, inputs, dilation, controls, noise, maps, MemorySegment.NULL);
    }

    /**
     * The same.
     *
     * @param feature [B, {@link #featureChannels}, h, w], written; NULL: it is not wanted
     */
    public Binding bind(
            int rows,
            int h,
            int w,
            Map<InputRole, MemorySegment> inputs,
            @Nullable MemorySegment dilation,
            List<MemorySegment> controls,
            MemorySegment noise,
            List<MemorySegment> maps,
            MemorySegment feature) {
        Map<String, Tensor> bound = bound(session, rows, h, w, inputs);
        if (dilation != null) {
            bound.put(DILATION, Tensor.hostFloats(dilation, dilationGroups.size()));
        }
        for (int i = 0; i < controls.size(); i++) {
            ControlManifest.Residual r = residuals.get(i);
            bound.put(
                    ControlInputs.name(i),
                    Tensor.floats(controls.get(i), rows, r.channels(), r.size(h), r.size(w)));
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
        if (feature.address() != 0) {
            outputs.put(FeatureCut.FEATURE, Tensor.floats(feature, rows, featureChannels(), h, w));
        }
        return session.bind(bound, outputs);
    }

    /**
     * Binds buffers for calls that take the features of an earlier one in the place of all but the
     * outermost layers; as {@link #bind}.
     *
     * @param inputs a buffer per input of the whole graph; what the shallow one does not take is left out
     * @param feature [B, {@link #featureChannels}, h, w], read
     * @throws IllegalStateException this one gives no features
     */
    public Binding bindShallow(
            int rows,
            int h,
            int w,
            Map<InputRole, MemorySegment> inputs,
            MemorySegment feature,
            MemorySegment noise) {
        if (shallow == null) {
            throw new IllegalStateException(session.name() + " gives no features");
        }
        Map<String, Tensor> bound = bound(shallow, rows, h, w, inputs);
        bound.put(FeatureCut.FEATURE, Tensor.floats(feature, rows, featureChannels(), h, w));
        return shallow.bind(bound, Map.of("noise", Tensor.floats(noise, rows, channels, h, w)));
    }

    /** Those of the inputs that a graph has. */
    private Map<String, Tensor> bound(
            OrtSession graph, int rows, int h, int w, Map<InputRole, MemorySegment> inputs) {
        MemorySegment text = Objects.requireNonNull(inputs.get(InputRole.TEXT), "text embedding");
        long tokens = text.byteSize() / (4L * rows * hiddenWidth);
        Map<String, Tensor> bound = new LinkedHashMap<>();
        for (Manifest.Input input : entry.inputs()) {
            MemorySegment data = inputs.get(input.role());
            if (data != null && (graph != shallow || graph.inputs().containsKey(input.name()))) {
                bound.put(input.name(), Tensor.floats(data, dims(input, rows, tokens, h, w)));
            }
        }
        return bound;
    }
}
