// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import com.fasterxml.jackson.databind.JsonNode;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A picture that was drawn and measured: one line of the results. What is NaN could not be measured.
 *
 * @param key row it belongs to
 * @param index in the row; pictures of one index have one prompt and seed in all rows
 * @param prompt it was drawn with
 * @param seed it was drawn with
 * @param countedBy identifies the counter, {@link Instruments#counting}
 * @param finding null: nothing was promised that can be counted
 * @param sharpness of {@link Sharpness}
 * @param bandPowers of {@link DetailBands}; empty: it was drawn before they were measured
 * @param seam of {@link Seams}
 * @param patchIou of {@link PatchMeasure}
 * @param patchNoise of {@link PatchMeasure}
 * @param clipScore of {@link ClipScore}
 * @param guidedEvaluations one per latent and step
 * @param nativeEvaluations the same by latent cells, {@link
 *     io.github.asg4j.PlanReport#nativeEvaluations}
 * @param seconds from request to picture
 * @param pixelsSha256 of its RGB8
 */
record DrawnPicture(
        EvaluationRow.Key key,
        int index,
        String prompt,
        long seed,
        String countedBy,
        @Nullable Finding finding,
        double sharpness,
        List<Double> bandPowers,
        double seam,
        double patchIou,
        double patchNoise,
        double clipScore,
        long guidedEvaluations,
        double nativeEvaluations,
        double seconds,
        String pixelsSha256) {

    DrawnPicture {
        bandPowers = List.copyOf(bandPowers);
    }

    /** The same picture, measured again. */
    DrawnPicture measured(String by, @Nullable Finding again, List<Double> powers) {
        return new DrawnPicture(
                key,
                index,
                prompt,
                seed,
                by,
                again,
                sharpness,
                powers,
                seam,
                patchIou,
                patchNoise,
                clipScore,
                guidedEvaluations,
                nativeEvaluations,
                seconds,
                pixelsSha256);
    }

    Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        putKey(map, key);
        map.put("index", index);
        map.put("prompt", prompt);
        map.put("seed", seed);
        map.put("counted_by", countedBy);
        if (finding != null) {
            map.put("count", finding.count());
            map.put("shape", finding.shape());
            map.put("colour", finding.colour());
            put(map, "share", finding.share());
            put(map, "aspect", finding.aspect());
            map.put("right_shape", finding.rightShape());
            map.put("right_colour", finding.rightColour());
        }
        put(map, "sharpness", sharpness);
        if (!bandPowers.isEmpty()) {
            map.put("band_powers", bandPowers.stream().map(Interval::rounded).toList());
        }
        put(map, "seam", seam);
        put(map, "patch_iou", patchIou);
        put(map, "patch_noise", patchNoise);
        put(map, "clip_score", clipScore);
        map.put("guided_evaluations", guidedEvaluations);
        put(map, "native_evaluations", nativeEvaluations);
        map.put("seconds", seconds);
        map.put("pixels_sha256", pixelsSha256);
        return map;
    }

    static void putKey(Map<String, Object> map, EvaluationRow.Key key) {
        map.put("method", key.method());
        map.put("width", key.width());
        map.put("height", key.height());
        map.put("setting", key.setting());
    }

    static EvaluationRow.Key key(JsonNode line) {
        return new EvaluationRow.Key(
                line.required("method").asText(),
                line.required("width").intValue(),
                line.required("height").intValue(),
                line.required("setting").asText());
    }

    /**
     * @throws IllegalArgumentException if a field is missing
     */
    static DrawnPicture parse(JsonNode line) {
        Finding finding =
                line.has("count")
                        ? new Finding(
                                line.required("count").intValue(),
                                line.required("shape").asText(),
                                line.required("colour").asText(),
                                line.required("share").doubleValue(),
                                number(line, "aspect"),
                                line.required("right_shape").booleanValue(),
                                line.required("right_colour").booleanValue())
                        : null;
        return new DrawnPicture(
                key(line),
                line.required("index").intValue(),
                line.required("prompt").asText(),
                line.required("seed").longValue(),
                line.path("counted_by").asText(),
                finding,
                number(line, "sharpness"),
                numbers(line.path("band_powers")),
                number(line, "seam"),
                number(line, "patch_iou"),
                number(line, "patch_noise"),
                number(line, "clip_score"),
                line.required("guided_evaluations").longValue(),
                number(line, "native_evaluations"),
                line.required("seconds").doubleValue(),
                line.required("pixels_sha256").asText());
    }

    private static void put(Map<String, Object> map, String name, double value) {
        Double rounded = Interval.rounded(value);
        if (rounded != null) {
            map.put(name, rounded);
        }
    }

    /** Those of a list, null as NaN; none if there is no list. */
    static List<Double> numbers(JsonNode list) {
        List<Double> numbers = new ArrayList<>();
        for (JsonNode value : list) {
            numbers.add(value.isNumber() ? value.doubleValue() : Double.NaN);
        }
        return numbers;
    }

    private static double number(JsonNode line, String name) {
        return line.has(name) ? line.get(name).doubleValue() : Double.NaN;
    }
}
