// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Cuts the part of a VAE that runs in tiles at its norms. Their statistics are those of the whole picture,
 * so that all tiles have to come to a norm before one can go on: pass {@code p} (from 0) goes on from what
 * pass {@code p - 1} kept of each tile to norm {@code p}, and the last, {@code p = norms}, to the result.
 *
 * <p>What the first norm takes is not kept but computed anew in pass 1: it has twice as many channels as
 * all that follows (a decoder), or costs next to nothing (an encoder). From there on the first convolution's
 * output and the residual beside it are all that passes have to keep.
 *
 * <p>No weight is touched, so every exported part can be cut.
 */
final class PassCut {
    /** Name of an input or output that is kept between passes, before the value's own. */
    static final String KEPT = "kept.";

    static final String STATISTICS = "norm_stats";
    static final String MOMENTS = "moments";

    /** Operators that compute a cell of their output from the same cell of their inputs. */
    private static final Set<String> CELL_BY_CELL =
            Set.of("Add", "Cast", "Div", "Identity", "Mul", "Sigmoid", "Sub");

    private final OnnxGraph graph;
    private final String file;
    private final String source;
    private final OnnxGraph.Value result;
    private final OnnxGraph.Value statistics;

    /** Values that are computed from the source; what is not costs nothing and is in every pass. */
    private final Set<String> ofSource = new HashSet<>();

    /** By value, how many norms it lies behind. */
    private final Map<String, Integer> levels = new HashMap<>();

    /** By value of the source, the highest level of the nodes that read it; by name, so that passes agree. */
    private final Map<String, Integer> lastUses = new TreeMap<>();

    /** Values that are another one in another type, by name: that is kept and cast again. */
    private final Map<String, String> casts = new HashMap<>();

    /** Moments of each norm. */
    private final List<String> pieces;

    /**
     * Reads the norms of a graph.
     *
     * @param file for messages
     * @param decodes whether it leads from features to pixels; else from pixels to features
     * @throws BadBundleException it is no part with norms whose statistics are an input
     */
    private PassCut(OnnxGraph graph, String file, boolean decodes) {
        this.graph = graph;
        this.file = file;
        source = decodes ? TiledPart.FEATURES : TiledPart.IMAGE;
        result = value(graph.outputs(), decodes ? TiledPart.IMAGE : TiledPart.FEATURES);
        statistics = value(graph.inputs(), STATISTICS);
        value(graph.outputs(), MOMENTS);
        OnnxGraph.Node gathered = graph.giving(MOMENTS);
        if (gathered == null || !gathered.type().equals("Concat")) {
            throw fault("its moments are not put together by norms");
        }
        pieces = gathered.inputs();
        ofSource.add(source);
        int norms = 0;
        for (OnnxGraph.Node node : graph.nodes()) {
            int level = node.inputs().stream().mapToInt(this::level).max().orElse(0);
            if (node.inputs().contains(STATISTICS)) {
                norms++;
                level = norms;
            }
            for (String output : node.outputs()) {
                levels.put(output, level);
            }
            if (isOfSource(node) && !node.equals(gathered)) {
                ofSource.addAll(node.outputs());
                for (String input : node.inputs()) {
                    if (ofSource.contains(input)) {
                        lastUses.merge(input, level, Math::max);
                    }
                }
            }
        }
        for (OnnxGraph.Node node : graph.nodes().reversed()) {
            if (node.type().equals("Cast") && isOfSource(node)) {
                String cast = node.outputs().getFirst();
                lastUses.merge(node.inputs().getFirst(), lastUses.getOrDefault(cast, 0), Math::max);
                casts.put(cast, node.inputs().getFirst());
            }
        }
        List<Integer> found = pieces.stream().map(this::level).toList();
        List<Integer> expected = IntStream.range(0, norms).boxed().toList();
        if (norms == 0 || !found.equals(expected) || level(result.name()) != norms) {
            throw fault(
                    "it has "
                            + norms
                            + " norms, and moments that lie behind "
                            + found
                            + " of them");
        }
    }

    private OnnxGraph.Value value(List<OnnxGraph.Value> values, String name) {
        return values.stream()
                .filter(value -> value.name().equals(name))
                .findFirst()
                .orElseThrow(() -> fault("it has no \"" + name + "\""));
    }

    private BadBundleException fault(String found) {
        return new BadBundleException(
                file
                        + " is not a part of a VAE that runs in tiles: "
                        + found
                        + "; export the model again");
    }

    private int level(String value) {
        return levels.getOrDefault(value, 0);
    }

    private boolean isOfSource(OnnxGraph.Node node) {
        return node.inputs().stream().anyMatch(ofSource::contains);
    }

    /**
     * What a pass reads and keeps.
     *
     * @param norms of the whole part
     * @param groups of each norm; 0: the graph leaves them open
     * @param reads values of earlier passes that it goes on from
     * @param writes values that it keeps for later ones
     * @param done those of {@code reads} that no later pass reads
     * @param cellByCell those of {@code done} of which each cell is read only for the same cell of what is
     *     kept: that may be written over them while other tiles are still to read theirs
     */
    record Pass(
            int norms,
            int groups,
            List<String> reads,
            List<String> writes,
            Set<String> done,
            Set<String> cellByCell) {
        Pass {
            reads = List.copyOf(reads);
            writes = List.copyOf(writes);
            done = Set.copyOf(done);
            cellByCell = Set.copyOf(cellByCell);
        }
    }

    /**
     * A pass of the graph as it is, which begins anew: it reads and keeps nothing.
     *
     * @param file for messages
     * @param decodes whether the part leads from features to pixels; else from pixels to features
     * @throws BadBundleException it is no part with norms whose statistics are an input
     */
    static Pass whole(OnnxGraph graph, String file, boolean decodes) {
        return new PassCut(graph, file, decodes).pass(List.of(), List.of(), Set.of(), Set.of());
    }

    /**
     * Leaves only a pass. Its inputs are those of the whole part that it reads, and {@link #KEPT} and the
     * name of each value that an earlier pass kept; its outputs {@link #MOMENTS} {@code [1, 2, groups]} of its
     * norm or, of the last pass, the result, and what it keeps. All are float32, exactly what a network in
     * half precision has between its nodes.
     *
     * @param file for messages
     * @param decodes whether the part leads from features to pixels; else from pixels to features
     * @throws BadBundleException it is no part with norms whose statistics are an input
     */
    static Pass reduce(OnnxGraph graph, String file, boolean decodes, int pass) {
        return new PassCut(graph, file, decodes).reduce(pass);
    }

    private Pass reduce(int pass) {
        List<String> reads = new ArrayList<>();
        List<String> writes = new ArrayList<>();
        Set<String> done = new HashSet<>();
        lastUses.forEach(
                (value, lastUse) -> {
                    if (casts.containsKey(value)) {
                        return;
                    }
                    if (pass > 1 && level(value) < pass && lastUse >= pass && readAt(value, pass)) {
                        reads.add(value);
                        if (lastUse == pass) {
                            done.add(value);
                        }
                    }
                    boolean computed = level(value) == pass || (pass == 1 && level(value) == 0);
                    if (pass > 0 && computed && lastUse > pass && !value.equals(source)) {
                        writes.add(value);
                    }
                });
        Set<String> cellByCell = new HashSet<>(done);
        cellByCell.removeIf(value -> !isCellByCell(value, pass, writes));
        change(pass, reads, writes);
        return pass(reads, writes, done, cellByCell);
    }

    private Pass pass(
            List<String> reads, List<String> writes, Set<String> done, Set<String> cellByCell) {
        return new Pass(
                pieces.size(),
                statistics.extents().getLast() instanceof Number number ? number.intValue() : 0,
                reads,
                writes,
                done,
                cellByCell);
    }

    private boolean readAt(String value, int level) {
        Set<String> same = castsOf(value);
        return graph.nodes().stream()
                .anyMatch(
                        node ->
                                level(node.outputs().getFirst()) == level
                                        && ofSource.contains(node.outputs().getFirst())
                                        && node.inputs().stream().anyMatch(same::contains));
    }

    /** A value, and what is only that in another type. */
    private Set<String> castsOf(String value) {
        Set<String> same = new HashSet<>(Set.of(value));
        for (OnnxGraph.Node node : graph.nodes()) {
            String from = casts.get(node.outputs().getFirst());
            if (from != null && same.contains(from)) {
                same.add(node.outputs().getFirst());
            }
        }
        return same;
    }

    private boolean isCellByCell(String value, int pass, List<String> writes) {
        Set<String> sameCell = castsOf(value);
        Set<String> beyond = new HashSet<>();
        for (OnnxGraph.Node node : graph.nodes()) {
            if (level(node.outputs().getFirst()) != pass) {
                continue;
            }
            if (node.inputs().stream().anyMatch(beyond::contains)) {
                beyond.addAll(node.outputs());
            } else if (node.inputs().stream().anyMatch(sameCell::contains)) {
                Set<String> to = CELL_BY_CELL.contains(node.type()) ? sameCell : beyond;
                to.addAll(node.outputs());
            }
        }
        return writes.stream().noneMatch(beyond::contains);
    }

    private void change(int pass, List<String> reads, List<String> writes) {
        List<String> outputs = new ArrayList<>();
        List<OnnxGraph.Value> declared = new ArrayList<>();
        List<OnnxGraph.Node> before = new ArrayList<>();
        for (String value : reads) {
            String type = "to";
            before.add(
                    OnnxGraph.Node.of("Cast", List.of(KEPT + value), value, type, typeOf(value)));
        }
        for (String value : writes) {
            graph.nodes()
                    .add(
                            OnnxGraph.Node.of(
                                    "Cast", List.of(value), KEPT + value, "to", OnnxGraph.FLOAT));
            declared.add(OnnxGraph.Value.floats(KEPT + value, List.of(1, "", "", "")));
        }
        graph.nodes().removeIf(node -> reads.contains(node.outputs().getFirst()));
        graph.nodes().addAll(0, before);
        if (pass < pieces.size()) {
            graph.nodes().removeIf(node -> node.outputs().contains(MOMENTS));
            graph.nodes().add(OnnxGraph.Node.of("Identity", List.of(pieces.get(pass)), MOMENTS));
            declared.add(
                    OnnxGraph.Value.floats(MOMENTS, List.of(1, 2, statistics.extents().getLast())));
        } else {
            declared.add(result);
        }
        graph.removeOutputs();
        for (OnnxGraph.Value output : declared) {
            graph.addOutput(output);
            outputs.add(output.name());
        }
        for (String value : reads) {
            graph.addInput(kept(value));
        }
        graph.reduceTo(outputs);
    }

    /** What is kept as an input; its axes have names, so that they can be fixed where it is compiled. */
    private static OnnxGraph.Value kept(String value) {
        return OnnxGraph.Value.floats(
                KEPT + value, List.of(1, KEPT + value + " channels", "kept rows", "kept columns"));
    }

    /** Type of a value's elements: that of what it is computed from, but for casts. */
    private int typeOf(String value) {
        String from = value;
        while (true) {
            OnnxGraph.Node node = graph.giving(from);
            if (node == null) {
                return OnnxGraph.FLOAT;
            }
            if (node.type().equals("Cast")) {
                return (int) node.integer("to", OnnxGraph.FLOAT);
            }
            @Nullable String next =
                    node.inputs().stream().filter(ofSource::contains).findFirst().orElse(null);
            if (next == null) {
                return OnnxGraph.FLOAT;
            }
            from = next;
        }
    }
}
