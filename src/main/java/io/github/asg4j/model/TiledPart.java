// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;

/**
 * The part of a VAE's network between its features and the pixels, which runs in tiles: the tail of a
 * decoder, or the front of an encoder. Its norms take their statistics as an input, and it gives those of
 * the tile's core (onnx-export/asg4j_export/vae_stats.py).
 */
public final class TiledPart {
    private static final long ANY = GraphContract.ANY;
    private static final String IMAGE = "image";
    private static final String FEATURES = "features";

    private final OrtSession session;
    private final boolean decodes;
    private final int width;
    private final int norms;
    private final int groups;

    private TiledPart(OrtSession session, boolean decodes, int width, int norms, int groups) {
        this.session = session;
        this.decodes = decodes;
        this.width = width;
        this.norms = norms;
        this.groups = groups;
    }

    /**
     * Checks a graph.
     *
     * @param decodes whether it leads from features to pixels; else from pixels to features
     * @throws io.github.asg4j.BadBundleException it is not what the manifest says
     */
    static TiledPart of(OrtSession session, boolean decodes) {
        GraphContract graph = new GraphContract(session);
        graph.onlyInputs(List.of(decodes ? FEATURES : IMAGE, "norm_stats", "core_y", "core_x"));
        int width;
        if (decodes) {
            width = graph.fixed(graph.input(FEATURES, "float32", ANY, ANY, ANY, ANY), 1);
            graph.output(IMAGE, "float32", ANY, 3, ANY, ANY);
        } else {
            graph.input(IMAGE, "float32", ANY, 3, ANY, ANY);
            width = graph.fixed(graph.output(FEATURES, "float32", ANY, ANY, ANY, ANY), 1);
        }
        var statistics = graph.input("norm_stats", "float32", ANY, 2, ANY);
        graph.input("core_y", "float32", ANY);
        graph.input("core_x", "float32", ANY);
        int norms = graph.fixed(statistics, 0);
        int groups = graph.fixed(statistics, 2);
        graph.output("moments", "float32", norms, 2, groups);
        return new TiledPart(session, decodes, width, norms, groups);
    }

    /** Whether it leads from features to pixels; else from pixels to features. */
    public boolean decodes() {
        return decodes;
    }

    /** Planes of the features. */
    public int width() {
        return width;
    }

    /** Group normalisations in it. */
    public int norms() {
        return norms;
    }

    /** Groups of each norm. */
    public int groups() {
        return groups;
    }

    /**
     * Memory of one tile.
     *
     * @param features float32 [width, h, w]
     * @param image float32 [3, h * pixels, w * pixels]
     * @param statistics float32 [norms, 2, groups]: mean, variance that the norms use
     * @param moments float32 [norms, 2, groups]: mean, variance over the core
     * @param coreY float32 [h]: 1 for rows whose moments count, else 0
     * @param coreX float32 [w]
     */
    public record TileMemory(
            MemorySegment features,
            MemorySegment image,
            MemorySegment statistics,
            MemorySegment moments,
            MemorySegment coreY,
            MemorySegment coreX) {}

    /**
     * Binds memory for tiles of h x w features.
     *
     * @param pixels per feature and axis
     */
    public Binding bind(TileMemory tile, int h, int w, int pixels) {
        Tensor features = Tensor.floats(tile.features, 1, width, h, w);
        Tensor image = Tensor.floats(tile.image, 1, 3, (long) h * pixels, (long) w * pixels);
        return session.bind(
                Map.of(
                        decodes ? FEATURES : IMAGE,
                        decodes ? features : image,
                        "norm_stats",
                        Tensor.floats(tile.statistics, norms, 2, groups),
                        "core_y",
                        Tensor.floats(tile.coreY, h),
                        "core_x",
                        Tensor.floats(tile.coreX, w)),
                Map.of(
                        decodes ? IMAGE : FEATURES,
                        decodes ? image : features,
                        "moments",
                        Tensor.floats(tile.moments, norms, 2, groups)));
    }
}
