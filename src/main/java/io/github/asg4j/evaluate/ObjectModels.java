// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.BadBundleException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a bundle's captions can promise, and the colours by which it is found: {@code objects.json},
 * written by {@code asg4j-demo evaluation}.
 *
 * @param nativeSide pixels, square root of a native picture's area
 * @param smallestShare of a native picture, below which a component is no object
 * @param farthest squared distance from which on a colour explains nothing
 * @param margin by which the object's colour has to explain a pixel better than the background
 * @param meanMargin likewise, on the mean over a component
 * @param relativeMargin of a component's mean over the biggest component's
 * @param patch side of the naming network's input in pixels
 * @param shapes names, in the order of the network's scores
 * @param colours names, in the order of the network's scores
 * @param colourModels of an object, by colour
 * @param backgroundModels several a background
 * @param captions what each caption promises
 */
record ObjectModels(
        int nativeSide,
        double smallestShare,
        double farthest,
        double margin,
        double meanMargin,
        double relativeMargin,
        int patch,
        List<String> shapes,
        List<String> colours,
        List<ColourModel> colourModels,
        List<List<ColourModel>> backgroundModels,
        Map<String, Subject> captions) {

    /** One object on a background; indices. */
    record Subject(int shape, int colour, int background) {}

    /**
     * @param place of the file, for messages
     * @throws BadBundleException if it is not what the exporter writes
     */
    static ObjectModels parse(String place, byte[] json) {
        try {
            JsonNode root = JsonMapper.builder().build().readTree(json);
            List<String> shapes = texts(root.required("shapes"));
            List<String> colours = texts(root.required("colours"));
            List<ColourModel> colourModels = new ArrayList<>();
            root.required("colour_models").forEach(m -> colourModels.add(ColourModel.parse(m)));
            List<List<ColourModel>> backgroundModels = new ArrayList<>();
            for (JsonNode background : root.required("background_models")) {
                List<ColourModel> parts = new ArrayList<>();
                background.forEach(m -> parts.add(ColourModel.parse(m)));
                backgroundModels.add(List.copyOf(parts));
            }
            List<String> phrases = texts(root.required("background_phrases"));
            if (colourModels.size() != colours.size()
                    || backgroundModels.size() != phrases.size()
                    || shapes.isEmpty()) {
                throw new IllegalArgumentException("lists of different lengths");
            }
            return new ObjectModels(
                    root.required("native_side").intValue(),
                    root.required("smallest_share").doubleValue(),
                    root.required("farthest").doubleValue(),
                    root.required("margin").doubleValue(),
                    root.required("mean_margin").doubleValue(),
                    root.required("relative_margin").doubleValue(),
                    root.required("patch").intValue(),
                    shapes,
                    colours,
                    List.copyOf(colourModels),
                    List.copyOf(backgroundModels),
                    captions(shapes, colours, phrases));
        } catch (IOException | IllegalArgumentException e) {
            throw new BadBundleException(
                    place
                            + " is not what asg4j-demo evaluation writes ("
                            + e.getMessage()
                            + "): make the bundle's evaluation files again",
                    e);
        }
    }

    private static List<String> texts(JsonNode list) {
        List<String> texts = new ArrayList<>();
        list.forEach(node -> texts.add(node.asText()));
        return List.copyOf(texts);
    }

    private static Map<String, Subject> captions(
            List<String> shapes, List<String> colours, List<String> phrases) {
        Map<String, Subject> captions = new LinkedHashMap<>();
        for (int s = 0; s < shapes.size(); s++) {
            for (int c = 0; c < colours.size(); c++) {
                for (int b = 0; b < phrases.size(); b++) {
                    String colour = colours.get(c);
                    String article = "aeiou".indexOf(colour.charAt(0)) >= 0 ? "an " : "a ";
                    captions.put(
                            article + colour + " " + shapes.get(s) + " " + phrases.get(b),
                            new Subject(s, c, b));
                }
            }
        }
        return captions;
    }

    /** What a caption promises; null: it is none of the bundle's captions with an object. */
    @Nullable Subject subject(String caption) {
        return captions.get(caption.strip());
    }
}
