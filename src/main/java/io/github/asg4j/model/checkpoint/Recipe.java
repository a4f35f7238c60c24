// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What the values of a template's graph are made of, as {@code asg4j_export.templates} writes it.
 * Shipped with the engine, so that it is taken as it is.
 *
 * @param part the network whose weights the graph has
 * @param values one for each value that the graph lacks
 */
public record Recipe(Part part, List<Value> values) {
    /** What takes the place of ".onnx" in the name of the graph's recipe. */
    public static final String FILE_END = ".weights.json";

    private static final JsonFactory JSON = new JsonFactory();

    /** First matrix that a UNet's timestep goes through. */
    private static final String TIMESTEP_MATRIX = "time_embedding.linear_1.weight";

    /** Matrix that an embedding of the guidance scale goes through, before it is added to the timestep's. */
    private static final String GUIDANCE_MATRIX = "time_embedding.cond_proj.weight";

    public Recipe {
        values = List.copyOf(values);
    }

    /**
     * A value of the graph, float32: a run of a weight, or the sum of two weights.
     *
     * @param name in the graph
     * @param weights names in diffusers of the weight, or of the two that are added
     * @param at element of the weight that the value begins with
     * @param shape extents of the value
     */
    public record Value(String name, List<String> weights, long at, List<Long> shape) {
        public Value {
            weights = List.copyOf(weights);
            shape = List.copyOf(shape);
        }

        private Value wider(int channels) {
            if (!weights.equals(List.of("conv_in.weight"))) {
                return this;
            }
            List<Long> extents = new ArrayList<>(shape);
            extents.set(1, extents.get(1) + channels);
            return new Value(name, weights, at, extents);
        }

        /** Elements. */
        public long count() {
            return shape.stream().reduce(1L, Math::multiplyExact);
        }
    }

    /**
     * The same for a UNet that takes more channels than the template's, as those for inpainting do.
     *
     * @param channels beside the latents'
     */
    public Recipe takingMore(int channels) {
        return part != Part.UNET || channels == 0
                ? this
                : new Recipe(part, values.stream().map(value -> value.wider(channels)).toList());
    }

    /**
     * The same for a UNet that takes the guidance scale too, as latent consistency models do.
     *
     * @param width values of the scale's embedding; 0: it does not
     */
    public Recipe takingGuidance(int width) {
        if (part != Part.UNET || width == 0) {
            return this;
        }
        Value first = only(TIMESTEP_MATRIX);
        List<Value> all = new ArrayList<>(values);
        all.add(
                new Value(
                        GUIDANCE_MATRIX,
                        List.of(GUIDANCE_MATRIX),
                        0,
                        List.of(first.shape().getLast(), (long) width)));
        return new Recipe(part, all);
    }

    /** The graph's value of the first matrix that the timestep goes through. */
    public String timestepMatrix() {
        return only(TIMESTEP_MATRIX).name();
    }

    /** The graph's value of the matrix that an embedding of the guidance scale goes through. */
    public String guidanceMatrix() {
        return only(GUIDANCE_MATRIX).name();
    }

    private Value only(String weight) {
        return values.stream()
                .filter(value -> value.weights().equals(List.of(weight)))
                .findFirst()
                .orElseThrow();
    }

    /** Elements that each weight has to have: those up to the last one that a value is made of. */
    Map<String, Long> extents() {
        Map<String, Long> extents = new HashMap<>();
        for (Value value : values) {
            for (String weight : value.weights()) {
                extents.merge(weight, value.at() + value.count(), Math::max);
            }
        }
        return extents;
    }

    /** Whether a value is a matrix that the graph reads where it lies; else it is laid out anew. */
    public static boolean isMatrix(Value value) {
        return value.shape().size() == 2
                && value.weights().size() == 1
                && value.count() * Float.BYTES >= AssembledGraph.SMALLEST_BYTES
                // Rows of tables are looked up before the first run where they are known.
                && !value.weights().getFirst().endsWith("embedding.weight");
    }

    /** Parses a GRAPH.weights.json. */
    public static Recipe parse(String file, byte[] text) {
        Part part = null;
        List<Value> values = new ArrayList<>();
        try (JsonParser parser = JSON.createParser(text)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String key = parser.currentName();
                parser.nextToken();
                if (key.equals("part")) {
                    String folder = parser.getText();
                    part =
                            Arrays.stream(Part.values())
                                    .filter(p -> p.folder().equals(folder))
                                    .findFirst()
                                    .orElseThrow();
                } else {
                    while (parser.nextToken() == JsonToken.FIELD_NAME) {
                        values.add(value(parser));
                    }
                }
            }
        } catch (IOException e) {
            throw new IllegalStateException(file + " is no recipe of a template", e);
        }
        if (part == null) {
            throw new IllegalStateException(file + " names no part");
        }
        return new Recipe(part, values);
    }

    private static Value value(JsonParser parser) throws IOException {
        String name = parser.currentName();
        List<String> weights = new ArrayList<>();
        List<Long> shape = new ArrayList<>();
        long at = 0;
        parser.nextToken();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            parser.nextToken();
            switch (key) {
                case "of" -> weights.add(parser.getText());
                case "sum" -> {
                    while (parser.nextToken() != JsonToken.END_ARRAY) {
                        weights.add(parser.getText());
                    }
                }
                case "at" -> at = parser.getLongValue();
                case "shape" -> {
                    while (parser.nextToken() != JsonToken.END_ARRAY) {
                        shape.add(parser.getLongValue());
                    }
                }
                case "type" -> {
                    if (!parser.getText().equals("F32")) {
                        throw new IOException(name + " is no float32");
                    }
                }
                default -> throw new IOException("unknown key " + key);
            }
        }
        return new Value(name, weights, at, shape);
    }
}
