// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;
import io.github.asg4j.ort.TensorInfo;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * The part of a VAE's network between its features and the pixels, which runs in tiles: the tail of a
 * decoder, or the front of an encoder (onnx-export/asg4j_export/vae_stats.py). Its norms take the statistics
 * of the whole picture, so that it is run in {@link #norms} + 1 {@link Pass passes}, each over all tiles
 * before the next one. In host memory they go on from what earlier ones kept of the whole picture. On GPUs
 * each is the whole network anew: what it would read and keep takes longer to copy than to compute, and to
 * load a network for each pass takes as long as it would save. Thread-safe.
 */
public final class TiledPart {
    static final String IMAGE = "image";
    static final String FEATURES = "features";
    private static final String CORE_Y = "core_y";
    private static final String CORE_X = "core_x";
    private static final long ANY = GraphContract.ANY;

    private final String file;
    private final boolean decodes;
    private final boolean keeps;
    private final LazySessions sessions;
    private final Map<Integer, PassCut.Pass> cuts = new HashMap<>();
    private final int norms;
    private final int groups;
    private final int width;

    /**
     * Opens the first pass.
     *
     * @param decodes whether it leads from features to pixels; else from pixels to features
     * @param keeps whether passes go on from what earlier ones kept; else each begins anew
     * @throws io.github.asg4j.BadBundleException it cannot be loaded, or is not what the manifest says
     */
    TiledPart(String file, boolean decodes, boolean keeps, LazySessions sessions) {
        this.file = file;
        this.decodes = decodes;
        this.keeps = keeps;
        this.sessions = sessions;
        Pass first = pass(0);
        norms = first.cut.norms();
        groups = first.cut.groups();
        if (groups == 0) {
            TensorInfo moments = first.session.outputs().get(PassCut.MOMENTS);
            throw new GraphContract(first.session)
                    .fault(
                            "\"" + PassCut.STATISTICS + "\"",
                            "moments " + (moments == null ? "" : moments.signature()),
                            "a fixed number of groups");
        }
        OrtSession of = decodes || !keeps ? first.session : pass(norms).session;
        TensorInfo features = (decodes ? of.inputs() : of.outputs()).get(FEATURES);
        width = new GraphContract(of).fixed(Objects.requireNonNull(features), 1);
    }

    /** Whether it leads from features to pixels; else from pixels to features. */
    public boolean decodes() {
        return decodes;
    }

    /** Group normalisations in it. */
    public int norms() {
        return norms;
    }

    /** Groups of each norm. */
    public int groups() {
        return groups;
    }

    /** Planes of the features. */
    public int width() {
        return width;
    }

    /**
     * A pass, loaded when it is first asked for.
     *
     * @param index 0 to {@link #norms}
     * @throws io.github.asg4j.BadBundleException it cannot be loaded, or is not what the manifest says
     */
    public synchronized Pass pass(int index) {
        int key = keeps ? index : 0;
        OrtSession session =
                sessions.get(
                        name(key),
                        file,
                        graph -> cuts.put(key, cut(graph, key)),
                        opened -> check(opened, key));
        return new Pass(session, Objects.requireNonNull(cuts.get(key)), index);
    }

    private PassCut.Pass cut(OnnxGraph graph, int index) {
        return keeps
                ? PassCut.reduce(graph, file, decodes, index)
                : PassCut.whole(graph, file, decodes);
    }

    /**
     * Frees a pass that is over, and with it the memory that its tiles were worked out in; what is bound to
     * it keeps it until that is closed. It is loaded again when it is next asked for. Does nothing where all
     * passes are one network.
     */
    public void free(int index) {
        if (keeps) {
            sessions.free(name(index));
        }
    }

    /** Whether passes go on from what earlier ones kept; else each begins anew. */
    public boolean keeps() {
        return keeps;
    }

    private String name(int index) {
        return file + ", pass " + index;
    }

    private void check(OrtSession session, int index) {
        GraphContract graph = new GraphContract(session);
        PassCut.Pass cut = Objects.requireNonNull(cuts.get(index));
        List<String> known =
                new ArrayList<>(
                        List.of(decodes ? FEATURES : IMAGE, PassCut.STATISTICS, CORE_Y, CORE_X));
        cut.reads().forEach(value -> known.add(PassCut.KEPT + value));
        graph.onlyInputs(known);
        if (session.inputs().containsKey(FEATURES)) {
            graph.fixed(graph.input(FEATURES, "float32", ANY, ANY, ANY, ANY), 1);
        }
        if (session.inputs().containsKey(IMAGE)) {
            graph.input(IMAGE, "float32", ANY, 3, ANY, ANY);
        }
        if (index == cut.norms() || !keeps) {
            if (decodes) {
                graph.output(IMAGE, "float32", ANY, 3, ANY, ANY);
            } else {
                graph.fixed(graph.output(FEATURES, "float32", ANY, ANY, ANY, ANY), 1);
            }
        }
        if (index < cut.norms()) {
            graph.output(PassCut.MOMENTS, "float32", keeps ? 1 : cut.norms(), 2, cut.groups());
        }
        for (String value : cut.writes()) {
            graph.fixed(graph.output(PassCut.KEPT + value, "float32", ANY, ANY, ANY, ANY), 1);
        }
    }

    /**
     * Memory of one tile of h x w features, that is h * pixels x w * pixels pixels.
     *
     * @param features float32 [width, h, w]
     * @param image float32 [3, h * pixels, w * pixels]
     * @param statistics float32 [norms, 2, groups]: mean, variance that the norms use
     * @param moments float32 [norms, 2, groups]: mean, variance over the core; what {@link Pass#moments} says of
     *     it is that of a pass
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

    /** One pass over all tiles. Thread-safe. */
    public final class Pass {
        private final OrtSession session;
        private final PassCut.Pass cut;
        private final int index;

        private Pass(OrtSession session, PassCut.Pass cut, int index) {
            this.session = session;
            this.cut = cut;
            this.index = index;
        }

        /** Whether it begins with what the part is given: features, or pixels. */
        public boolean readsSource() {
            return session.inputs().containsKey(decodes ? FEATURES : IMAGE);
        }

        /** Values that it goes on from, which earlier passes kept. */
        public List<String> reads() {
            return cut.reads();
        }

        /** Values that it keeps for later passes. */
        public List<String> writes() {
            return cut.writes();
        }

        /** Those of {@link #reads} that no later pass reads. */
        public Set<String> done() {
            return cut.done();
        }

        /**
         * Those of {@link #done} of which a cell is read only for the same cell of what is kept, which may
         * therefore be written over them.
         */
        public Set<String> cellByCell() {
            return cut.cellByCell();
        }

        /** Where the moments of its norm lie, float32 [2, groups]; not of the last. */
        public MemorySegment moments(TileMemory tile) {
            long bytes = 2L * groups * Float.BYTES;
            return tile.moments.asSlice(keeps ? 0 : index * bytes, bytes);
        }

        /** Planes of a value of {@link #writes}, at the picture's resolution. */
        public int planes(String value) {
            TensorInfo info = session.outputs().get(PassCut.KEPT + value);
            return (int) (long) Objects.requireNonNull(info).dims().get(1);
        }

        /**
         * Binds memory for tiles of h x w features.
         *
         * @param reads by value, float32 [planes, h * pixels, w * pixels]
         * @param writes by value, the same
         * @param pixels per feature and axis
         */
        public Binding bind(
                TileMemory tile,
                Map<String, MemorySegment> reads,
                Map<String, MemorySegment> writes,
                int h,
                int w,
                int pixels) {
            Map<String, Tensor> all = new HashMap<>();
            all.put(FEATURES, planes(tile.features, h, w));
            all.put(IMAGE, planes(tile.image, h * pixels, w * pixels));
            all.put(PassCut.STATISTICS, Tensor.floats(tile.statistics, norms, 2, groups));
            all.put(CORE_Y, Tensor.floats(tile.coreY, h));
            all.put(CORE_X, Tensor.floats(tile.coreX, w));
            Map<String, Tensor> in = new HashMap<>(all);
            in.keySet().retainAll(session.inputs().keySet());
            Map<String, Tensor> out = new HashMap<>();
            int counted = keeps ? 1 : norms;
            if (session.outputs().containsKey(PassCut.MOMENTS)) {
                out.put(
                        PassCut.MOMENTS,
                        Tensor.floats(
                                tile.moments.asSlice(0, 8L * counted * groups),
                                counted,
                                2,
                                groups));
            }
            String result = decodes ? IMAGE : FEATURES;
            if (session.outputs().containsKey(result)) {
                out.put(result, Objects.requireNonNull(all.get(result)));
            }
            reads.forEach(
                    (value, data) ->
                            in.put(PassCut.KEPT + value, planes(data, h * pixels, w * pixels)));
            writes.forEach(
                    (value, data) ->
                            out.put(PassCut.KEPT + value, planes(data, h * pixels, w * pixels)));
            return session.bind(in, out);
        }

        private Tensor planes(MemorySegment data, int h, int w) {
            return Tensor.floats(data, 1, data.byteSize() / Float.BYTES / h / w, h, w);
        }
    }
}
