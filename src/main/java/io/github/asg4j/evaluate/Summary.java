// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The rows of an evaluation, measured.
 *
 * @param rows in the order in which they were first drawn
 * @param truth what the rows of each size were held against
 */
public record Summary(List<Row> rows, Map<String, Map<String, Object>> truth) {
    public Summary {
        rows = List.copyOf(rows);
    }

    /**
     * A row.
     *
     * @param key method, size, setting
     * @param n pictures
     * @param measures by name, those that could be measured
     * @param against the row of the same size that it is compared with, the first; null: itself
     * @param paired how many pictures both rows have
     * @param differences from that row, picture by picture, by the measure's name
     */
    public record Row(
            EvaluationRow.Key key,
            int n,
            Map<String, Interval> measures,
            EvaluationRow.@Nullable Key against,
            int paired,
            Map<String, Interval> differences) {}

    static Summary of(
            List<DrawnPicture> pictures,
            Map<DrawnPicture, FeatureNetwork.Features> features,
            Instruments instruments) {
        Map<EvaluationRow.Key, List<DrawnPicture>> byRow = new LinkedHashMap<>();
        pictures.stream()
                .sorted(Comparator.comparingInt(DrawnPicture::index))
                .forEach(p -> byRow.computeIfAbsent(p.key(), k -> new ArrayList<>()).add(p));
        Map<String, EvaluationRow.Key> firstOfSize = new LinkedHashMap<>();
        List<Row> rows = new ArrayList<>();
        Map<String, Map<String, Object>> truths = new LinkedHashMap<>();
        byRow.forEach(
                (key, own) -> {
                    Truth truth = instruments.truth(key.width(), key.height());
                    EvaluationRow.Key first = firstOfSize.putIfAbsent(key.size(), key);
                    Map<String, Interval> measured =
                            new LinkedHashMap<>(new Measures(own, features, truth).intervals());
                    Interval toSquare = aspectToSquare(key, byRow);
                    if (toSquare != null) {
                        measured.put(Measures.ASPECT_TO_SQUARE, toSquare);
                    }
                    truths.computeIfAbsent(key.size(), size -> describe(truth, own));
                    Set<Integer> shared = new LinkedHashSet<>();
                    Map<String, Interval> differences = Map.of();
                    if (first != null) {
                        List<DrawnPicture> other = byRow.getOrDefault(first, List.of());
                        shared.addAll(indices(other));
                        shared.retainAll(indices(own));
                        if (shared.size() > 1) {
                            differences =
                                    new Measures(only(own, shared), features, truth)
                                            .differences(
                                                    new Measures(
                                                            only(other, shared), features, truth));
                        }
                    }
                    rows.add(new Row(key, own.size(), measured, first, shared.size(), differences));
                });
        return new Summary(rows, truths);
    }

    /**
     * The aspect of a row's objects over that in the square pictures of the same method and setting,
     * of the nearest area if there are several; null: the row is square, or nothing can be compared.
     */
    private static @Nullable Interval aspectToSquare(
            EvaluationRow.Key key, Map<EvaluationRow.Key, List<DrawnPicture>> byRow) {
        EvaluationRow.Key square =
                byRow.keySet().stream()
                        .filter(k -> k.width() == k.height() && key.width() != key.height())
                        .filter(k -> k.method().equals(key.method()))
                        .filter(k -> k.setting().equals(key.setting()))
                        .min(
                                Comparator.comparingDouble(
                                        k -> Math.abs(Math.log(area(k) / area(key)))))
                        .orElse(null);
        if (square == null) {
            return null;
        }
        List<DrawnPicture> own = byRow.getOrDefault(key, List.of());
        List<DrawnPicture> theirs = byRow.getOrDefault(square, List.of());
        Set<Integer> shared = indices(own);
        shared.retainAll(indices(theirs));
        if (shared.size() < 2) {
            return null;
        }
        Interval ratio =
                new Measures(only(own, shared), Map.of(), null)
                        .aspectTo(new Measures(only(theirs, shared), Map.of(), null));
        return Double.isNaN(ratio.value()) ? null : ratio;
    }

    private static double area(EvaluationRow.Key key) {
        return (double) key.width() * key.height();
    }

    private static Set<Integer> indices(List<DrawnPicture> pictures) {
        Set<Integer> indices = new LinkedHashSet<>();
        pictures.forEach(p -> indices.add(p.index()));
        return indices;
    }

    private static List<DrawnPicture> only(List<DrawnPicture> pictures, Set<Integer> indices) {
        return pictures.stream().filter(p -> indices.contains(p.index())).toList();
    }

    private static Map<String, Object> describe(@Nullable Truth truth, List<DrawnPicture> drawn) {
        Map<String, Object> map = new LinkedHashMap<>();
        if (truth == null) {
            return map;
        }
        Truth used = truth.of(drawn.stream().map(DrawnPicture::prompt).toList());
        map.put("pictures", used.pictures().length);
        map.put("crops", used.crops().length);
        map.put("same_captions", used.captions().stream().noneMatch(String::isEmpty));
        map.put("sharpness_spread", Interval.rounded(truth.spread()));
        map.put("sharpness_through_autoencoder", Interval.rounded(truth.throughAutoencoder()));
        for (int i = 0; i < truth.bandsThroughAutoencoder().size(); i++) {
            map.put(
                    DetailBands.MEASURES.get(i) + "_through_autoencoder",
                    Interval.rounded(truth.bandsThroughAutoencoder().get(i)));
        }
        return map;
    }

    /** Returns what {@code --json} prints and {@code eval.json} holds. */
    public Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        List<Map<String, Object>> records = new ArrayList<>();
        for (Row row : rows) {
            Map<String, Object> record = new LinkedHashMap<>();
            record.put("method", row.key().method());
            record.put("size", row.key().size());
            record.put("setting", row.key().setting());
            record.put("n", row.n());
            for (String name : Measures.NAMES) {
                Interval interval = row.measures().get(name);
                record.put(name, interval == null ? null : interval.toMap());
            }
            if (row.against() != null) {
                Map<String, Object> against = new LinkedHashMap<>();
                against.put("method", row.against().method());
                against.put("setting", row.against().setting());
                against.put("n", row.paired());
                row.differences().forEach((name, interval) -> against.put(name, interval.toMap()));
                record.put("difference", against);
            }
            records.add(record);
        }
        map.put("records", records);
        map.put("truth", truth);
        map.put("confidence", 0.95);
        map.put("resamples", Bootstrap.RESAMPLES);
        return map;
    }
}
