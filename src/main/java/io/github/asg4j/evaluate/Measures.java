// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;

/**
 * All measures of some pictures, each as a function of how often every picture counts, so that all
 * are resampled alike.
 */
final class Measures {
    /** Of pictures that are not square: how much wider objects are than in square ones. */
    static final String ASPECT_TO_SQUARE = "aspect_to_square";

    /** What a picture takes, whatever the size of the views. */
    static final String NATIVE_EVALUATIONS = "native_evaluations";

    /** The names of all measures, in the order of table and JSON. */
    static final List<String> NAMES =
            List.of(
                    "one_object_share",
                    "mean_count",
                    "right_share",
                    "aspect",
                    ASPECT_TO_SQUARE,
                    "kid",
                    "fid",
                    "kid_crop",
                    "fid_crop",
                    "inception_score",
                    "clip_score",
                    "sharpness",
                    DetailBands.MEASURES.get(0),
                    DetailBands.MEASURES.get(1),
                    DetailBands.MEASURES.get(2),
                    DetailBands.MEASURES.get(3),
                    "seam",
                    "patch_iou",
                    "patch_noise",
                    "guided_evaluations",
                    NATIVE_EVALUATIONS,
                    "seconds");

    private final int n;
    private final Bootstrap bootstrap;
    private final Aspects aspects;
    private final Map<String, ToDoubleFunction<int[]>> statistics = new LinkedHashMap<>();

    /** Measures of which no differences are computed: constant, or (FID) said by KID better and quicker. */
    private static final Set<String> NOT_COMPARED =
            Set.of("guided_evaluations", NATIVE_EVALUATIONS, "fid", "fid_crop");

    /** Hits and misses of each measure that is a share, for Wilson's interval. */
    private final Map<String, double[]> hits = new LinkedHashMap<>();

    /**
     * @param pictures of one row, by index
     * @param features of pictures, where there is a network
     * @param truth null: there is none
     */
    Measures(
            List<DrawnPicture> pictures,
            Map<DrawnPicture, FeatureNetwork.Features> features,
            @Nullable Truth truth) {
        n = pictures.size();
        bootstrap = new Bootstrap(n);
        share("one_object_share", pictures, finding -> finding.count() == 1);
        mean("mean_count", pictures, p -> p.finding() == null ? Double.NaN : p.finding().count());
        share("right_share", pictures, Finding::right);
        mean("aspect", pictures, Measures::aspect);
        aspects = Aspects.of(pictures);
        List<FeatureNetwork.Features> own = new ArrayList<>();
        pictures.forEach(
                p -> {
                    FeatureNetwork.Features f = features.get(p);
                    if (f != null) {
                        own.add(f);
                    }
                });
        if (own.size() == n && n > 0) {
            ofFeatures(pictures, own, truth);
        }
        mean("clip_score", pictures, DrawnPicture::clipScore);
        if (truth != null) {
            mean("sharpness", pictures, p -> truth.relativeSharpness(p.sharpness(), p.prompt()));
            bands(pictures, truth);
        }
        mean("seam", pictures, DrawnPicture::seam);
        mean("patch_iou", pictures, DrawnPicture::patchIou);
        mean("patch_noise", pictures, DrawnPicture::patchNoise);
        mean("guided_evaluations", pictures, DrawnPicture::guidedEvaluations);
        mean(NATIVE_EVALUATIONS, pictures, DrawnPicture::nativeEvaluations);
        mean("seconds", pictures, DrawnPicture::seconds);
    }

    /** Of the object of a picture that has one; NaN where copies may have grown together. */
    private static double aspect(DrawnPicture picture) {
        Finding finding = picture.finding();
        return finding == null || finding.count() != 1 ? Double.NaN : finding.aspect();
    }

    private void ofFeatures(
            List<DrawnPicture> pictures,
            List<FeatureNetwork.Features> own,
            @Nullable Truth ofSize) {
        if (ofSize != null) {
            Truth truth = ofSize.of(pictures.stream().map(DrawnPicture::prompt).toList());
            List<float[][]> wholes = own.stream().map(f -> new float[][] {f.whole()}).toList();
            distances("", pictures, wholes, truth.pictures(), truth.captions());
            List<float[][]> crops = own.stream().map(FeatureNetwork.Features::crops).toList();
            if (truth.crops().length == truth.captions().size()
                    && crops.stream().allMatch(c -> c.length > 0)) {
                distances("_crop", pictures, crops, truth.crops(), truth.captions());
            }
        }
        if (own.getFirst().probabilities() != null) {
            List<float[]> probabilities = new ArrayList<>();
            for (FeatureNetwork.Features f : own) {
                float[] p = f.probabilities();
                if (p != null) {
                    probabilities.add(p);
                }
            }
            statistics.put("inception_score", w -> inceptionScore(probabilities, w));
        }
    }

    private void distances(
            String suffix,
            List<DrawnPicture> pictures,
            List<float[][]> drawn,
            float[][] truth,
            List<String> captions) {
        Map<String, Integer> numbers = new LinkedHashMap<>();
        int[] own =
                pictures.stream()
                        .mapToInt(p -> numbers.computeIfAbsent(p.prompt(), c -> numbers.size()))
                        .toArray();
        int[] theirs = captions.stream().mapToInt(c -> numbers.getOrDefault(c, -1)).toArray();
        if (n > 1 && truth.length > 1) {
            KernelDistance kid = new KernelDistance(drawn, own, truth, theirs);
            statistics.put("kid" + suffix, kid::of);
            if (truth[0].length <= FrechetDistance.MAX_WIDTH) {
                FrechetDistance fid = new FrechetDistance(drawn, truth);
                statistics.put("fid" + suffix, fid::of);
            }
        }
    }

    /** exp of the mean divergence of p(y|x) from p(y) (Salimans et al., arXiv 1606.03498). */
    static double inceptionScore(List<float[]> probabilities, int[] w) {
        int classes = probabilities.getFirst().length;
        double[] mean = new double[classes];
        double total = 0;
        for (int i = 0; i < w.length; i++) {
            total += w[i];
            for (int c = 0; c < classes; c++) {
                mean[c] += w[i] * (double) probabilities.get(i)[c];
            }
        }
        double divergence = 0;
        for (int i = 0; i < w.length; i++) {
            for (int c = 0; w[i] > 0 && c < classes; c++) {
                double p = probabilities.get(i)[c];
                if (p > 0) {
                    divergence += w[i] * p * Math.log(p / (mean[c] / total));
                }
            }
        }
        return Math.exp(divergence / total);
    }

    private void mean(
            String name, List<DrawnPicture> pictures, ToDoubleFunction<DrawnPicture> value) {
        double[] values = pictures.stream().mapToDouble(value).toArray();
        statistics.put(name, w -> Bootstrap.mean(values, w));
    }

    /**
     * Power over that of true pictures of the caption, octave by octave: geometric means of both. Powers of
     * one caption differ by factors, and one noisy picture would make up most of an arithmetic mean.
     */
    private void bands(List<DrawnPicture> pictures, Truth truth) {
        for (int i = 0; i < DetailBands.MEASURES.size(); i++) {
            int band = i;
            double[] logs =
                    pictures.stream()
                            .mapToDouble(p -> truth.logOfPower(band, p.bandPowers(), p.prompt()))
                            .toArray();
            statistics.put(DetailBands.MEASURES.get(i), w -> Math.exp(Bootstrap.mean(logs, w)));
        }
    }

    private void share(
            String name, List<DrawnPicture> pictures, java.util.function.Predicate<Finding> test) {
        double[] values =
                pictures.stream()
                        .mapToDouble(
                                p ->
                                        p.finding() == null
                                                ? Double.NaN
                                                : test.test(p.finding()) ? 1 : 0)
                        .toArray();
        hits.put(name, values);
        statistics.put(name, w -> Bootstrap.mean(values, w));
    }

    /** Those that have a value, in the order of {@link #NAMES}. */
    Map<String, Interval> intervals() {
        Map<String, Interval> all = new LinkedHashMap<>();
        for (String name : NAMES) {
            ToDoubleFunction<int[]> statistic = statistics.get(name);
            if (statistic == null) {
                continue;
            }
            double[] share = hits.get(name);
            Interval interval = share != null ? wilson(share) : bootstrap.interval(statistic);
            if (!Double.isNaN(interval.value())) {
                all.put(name, interval);
            }
        }
        return all;
    }

    private static Interval wilson(double[] values) {
        int hits = 0;
        int n = 0;
        for (double value : values) {
            if (!Double.isNaN(value)) {
                hits += value > 0 ? 1 : 0;
                n++;
            }
        }
        return Interval.wilson(hits, n);
    }

    /**
     * How much wider objects are than those of the same shape in {@code square}, whose pictures have
     * the same prompts and seeds, resampled together: 1 where nothing is stretched. A geometric mean
     * over the pictures with exactly one object, of the right shape. Shape by shape, since a row that
     * lost more cones than rings would have a larger mean aspect with nothing stretched.
     */
    Interval aspectTo(Measures square) {
        if (square.n != n) {
            throw new IllegalArgumentException(n + " pictures against " + square.n);
        }
        return bootstrap.interval(
                w -> {
                    Map<String, Double> usual = square.aspects.means(w);
                    return Math.exp(aspects.meanOver(usual, w));
                });
    }

    /**
     * Logarithms of the aspects of a row's objects.
     *
     * @param shapes of the objects
     * @param logs NaN where there is no object, more than one or one of another shape than asked for
     */
    private record Aspects(List<String> shapes, double[] logs) {
        static Aspects of(List<DrawnPicture> pictures) {
            List<String> shapes = new ArrayList<>();
            double[] logs = new double[pictures.size()];
            for (DrawnPicture picture : pictures) {
                Finding finding = picture.finding();
                if (finding != null && finding.count() == 1 && finding.rightShape()) {
                    logs[shapes.size()] = Math.log(finding.aspect());
                    shapes.add(finding.shape());
                } else {
                    logs[shapes.size()] = Double.NaN;
                    shapes.add("");
                }
            }
            return new Aspects(shapes, logs);
        }

        /** The mean of each shape, picture i counted {@code weights[i]} times. */
        Map<String, Double> means(int[] weights) {
            Map<String, double[]> sums = new LinkedHashMap<>();
            for (int i = 0; i < logs.length; i++) {
                if (weights[i] > 0 && !Double.isNaN(logs[i])) {
                    double[] sum = sums.computeIfAbsent(shapes.get(i), s -> new double[2]);
                    sum[0] += weights[i] * logs[i];
                    sum[1] += weights[i];
                }
            }
            Map<String, Double> means = new LinkedHashMap<>();
            sums.forEach((shape, sum) -> means.put(shape, sum[0] / sum[1]));
            return means;
        }

        /** The mean of what is more than usual for the shape; NaN where nothing can be compared. */
        double meanOver(Map<String, Double> usual, int[] weights) {
            double sum = 0;
            int count = 0;
            for (int i = 0; i < logs.length; i++) {
                Double mean = usual.get(shapes.get(i));
                if (mean != null && !Double.isNaN(logs[i])) {
                    sum += weights[i] * (logs[i] - mean);
                    count += weights[i];
                }
            }
            return sum / count;
        }
    }

    /** This less {@code other}, whose pictures have the same prompts and seeds, resampled together. */
    Map<String, Interval> differences(Measures other) {
        if (other.n != n) {
            throw new IllegalArgumentException(n + " pictures against " + other.n);
        }
        Map<String, Interval> all = new LinkedHashMap<>();
        for (String name : NAMES) {
            ToDoubleFunction<int[]> own = statistics.get(name);
            ToDoubleFunction<int[]> theirs = other.statistics.get(name);
            if (own != null && theirs != null && !NOT_COMPARED.contains(name)) {
                Interval interval =
                        bootstrap.interval(w -> own.applyAsDouble(w) - theirs.applyAsDouble(w));
                if (!Double.isNaN(interval.value())) {
                    all.put(name, interval);
                }
            }
        }
        return all;
    }
}
