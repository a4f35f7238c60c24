// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Npy;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.Manifest;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * True pictures of one size, as features and sharpness: what drawn pictures are held against.
 *
 * @param captions of the rows of {@code pictures}; "" where a picture has none
 * @param pictures features of whole pictures
 * @param crops features of crops, row by row of the same pictures; without a row: pictures are
 *     smaller than a crop
 * @param sharpness of one caption, by caption; under "" of any
 * @param bandLogs means of the logarithms of {@link DetailBands} of one caption, by caption; under "" of any;
 *     empty: they were not measured
 * @param bandsThroughAutoencoder power of true pictures after encoding and decoding, over theirs, by octaves;
 *     empty: not known
 * @param spread standard deviation of a true picture's sharpness over its caption's mean
 * @param throughAutoencoder sharpness of true pictures after encoding and decoding, over theirs; NaN:
 *     not known
 */
record Truth(
        List<String> captions,
        float[][] pictures,
        float[][] crops,
        Map<String, Double> sharpness,
        Map<String, List<Double>> bandLogs,
        List<Double> bandsThroughAutoencoder,
        double spread,
        double throughAutoencoder) {

    /** The bundle's, if it has any of this size and features. */
    static @Nullable Truth ofBundle(Bundle bundle, int width, int height, int featureWidth) {
        Manifest.Evaluation evaluation = bundle.manifest().evaluation();
        Manifest.Truth truth = evaluation == null ? null : evaluation.truth();
        if (truth == null) {
            return null;
        }
        for (Manifest.TruthSize size : truth.sizes()) {
            if (size.width() == width && size.height() == height) {
                return read(bundle, truth.statistics(), size, featureWidth);
            }
        }
        return null;
    }

    private static Truth read(
            Bundle bundle, String statistics, Manifest.TruthSize size, int featureWidth) {
        float[][] pictures = rows(bundle, size.pictures(), featureWidth);
        float[][] crops = rows(bundle, size.crops(), featureWidth);
        try {
            JsonNode root = JsonMapper.builder().build().readTree(bundle.read(statistics));
            JsonNode names = root.required("captions");
            int each = root.required("pictures_per_caption").intValue();
            List<String> captions =
                    IntStream.range(0, names.size() * each)
                            .mapToObj(i -> names.get(i / each).asText())
                            .toList();
            if (captions.size() != pictures.length || crops.length != pictures.length) {
                throw new IllegalArgumentException(
                        captions.size() + " captions, " + pictures.length + " pictures");
            }
            for (JsonNode entry : root.required("sizes")) {
                if (entry.required("size").path(0).intValue() == size.width()
                        && entry.required("size").path(1).intValue() == size.height()) {
                    return of(captions, pictures, crops, names, entry);
                }
            }
            throw new IllegalArgumentException("no sharpness of this size");
        } catch (IOException | IllegalArgumentException e) {
            throw new BadBundleException(
                    bundle.place()
                            + statistics
                            + " is not what asg4j-demo evaluation writes ("
                            + e.getMessage()
                            + "): make the bundle's evaluation files again",
                    e);
        }
    }

    private static Truth of(
            List<String> captions,
            float[][] pictures,
            float[][] crops,
            JsonNode names,
            JsonNode entry) {
        Map<String, Double> sharpness = new HashMap<>();
        double sum = 0;
        double spread = 0;
        double through = 0;
        int n = names.size();
        for (int i = 0; i < n; i++) {
            double mean = entry.required("sharpness").path(i).doubleValue();
            sharpness.put(names.get(i).asText(), mean);
            sum += mean;
            spread += entry.required("sharpness_deviation").path(i).doubleValue() / mean;
            through += entry.required("sharpness_autoencoder").path(i).doubleValue() / mean;
        }
        sharpness.put("", sum / n);
        return new Truth(
                captions,
                pictures,
                crops,
                sharpness,
                bandLogs(names, entry.path("band_log_power")),
                DrawnPicture.numbers(entry.path("band_autoencoder")),
                spread / n,
                through / n);
    }

    private static Map<String, List<Double>> bandLogs(JsonNode names, JsonNode captions) {
        if (captions.isMissingNode()) {
            return Map.of(); // written before they were measured
        }
        Map<String, List<Double>> logs = new HashMap<>();
        for (int i = 0; i < names.size(); i++) {
            List<Double> own = DrawnPicture.numbers(captions.path(i));
            if (own.size() != DetailBands.MEASURES.size()) {
                throw new IllegalArgumentException(
                        own.size() + " numbers in band_log_power[" + i + "]");
            }
            logs.put(names.get(i).asText(), own);
        }
        logs.put("", means(logs.values()));
        return logs;
    }

    private static List<Double> means(Collection<List<Double>> all) {
        return IntStream.range(0, DetailBands.MEASURES.size())
                .mapToObj(i -> all.stream().mapToDouble(own -> own.get(i)).average().orElseThrow())
                .toList();
    }

    private static float[][] rows(Bundle bundle, String file, int width) {
        try (Memory memory = new Memory(file)) {
            Npy.Array array =
                    Npy.read(
                            bundle.place() + file,
                            bundle.read(file),
                            Npy.Type.FLOAT32,
                            (bytes, alignment) -> memory.allocate(bytes, file));
            if (array.shape().length != 2 || array.shape()[1] != width) {
                throw new BadBundleException(
                        bundle.place()
                                + file
                                + ": found features of shape "
                                + java.util.Arrays.toString(array.shape())
                                + ", expected [n, "
                                + width
                                + "]: make the bundle's evaluation files again");
            }
            return rows(array);
        }
    }

    static float[][] rows(Npy.Array array) {
        int n = (int) array.shape()[0];
        int width = (int) array.shape()[1];
        float[] all = array.data().toArray(ValueLayout.JAVA_FLOAT);
        float[][] rows = new float[n][];
        for (int i = 0; i < n; i++) {
            rows[i] = java.util.Arrays.copyOfRange(all, i * width, (i + 1) * width);
        }
        return rows;
    }

    /**
     * Reads the PNG files in {@code folder/WxH}, or else in {@code folder} itself.
     *
     * @throws BadRequestException if there are fewer than two pictures
     */
    static Truth ofFolder(Path folder, int width, int height, FeatureNetwork network) {
        Path own = folder.resolve(width + "x" + height);
        Path place = Files.isDirectory(own) ? own : folder;
        List<Path> files;
        try (Stream<Path> all = Files.list(place)) {
            files = all.filter(f -> f.toString().endsWith(".png")).sorted().toList();
        } catch (IOException e) {
            throw new BadRequestException(
                    "the folder of true pictures '" + place + "' cannot be read (" + e + ")", e);
        }
        if (files.size() < 2) {
            throw new BadRequestException(
                    "'"
                            + place
                            + "' holds "
                            + files.size()
                            + " PNG pictures: true pictures of "
                            + width
                            + "x"
                            + height
                            + " are expected there, at least 2");
        }
        List<float[]> wholes = new ArrayList<>();
        List<float[]> crops = new ArrayList<>();
        List<List<Double>> logs = new ArrayList<>();
        double sum = 0;
        double square = 0;
        int n = 0;
        for (int i = 0; i < files.size(); i++) {
            Picture picture = Picture.read(files.get(i));
            FeatureNetwork.Features features = network.of(picture, 1, i);
            wholes.add(features.whole());
            crops.addAll(List.of(features.crops()));
            if (picture.width() == width && picture.height() == height) {
                double sharp = Sharpness.of(picture);
                sum += sharp;
                square += sharp * sharp;
                logs.add(DetailBands.of(picture).stream().map(Math::log).toList());
                n++;
            }
        }
        Map<String, Double> sharpness = n == 0 ? Map.of() : Map.of("", sum / n);
        double spread = Math.sqrt(Math.max(0, square / n - sum / n * (sum / n))) / (sum / n);
        return new Truth(
                files.stream().map(f -> "").toList(),
                wholes.toArray(float[][]::new),
                crops.toArray(float[][]::new),
                sharpness,
                logs.isEmpty() ? Map.of() : Map.of("", means(logs)),
                List.of(),
                spread,
                Double.NaN);
    }

    /** Only the pictures of these captions; all, if it lacks one of the captions. */
    Truth of(Collection<String> wanted) {
        if (!captions.containsAll(wanted) || crops.length != pictures.length) {
            return this;
        }
        int[] kept =
                IntStream.range(0, captions.size())
                        .filter(i -> wanted.contains(captions.get(i)))
                        .toArray();
        return new Truth(
                IntStream.of(kept).mapToObj(captions::get).toList(),
                IntStream.of(kept).mapToObj(i -> pictures[i]).toArray(float[][]::new),
                IntStream.of(kept).mapToObj(i -> crops[i]).toArray(float[][]::new),
                sharpness,
                bandLogs,
                bandsThroughAutoencoder,
                spread,
                throughAutoencoder);
    }

    /** A picture's sharpness over that of true pictures of its caption; NaN: not known. */
    double relativeSharpness(double measured, String caption) {
        Double mean = sharpness.getOrDefault(caption, sharpness.get(""));
        return mean == null ? Double.NaN : measured / mean;
    }

    /**
     * Logarithm of a picture's power in an octave over that of true pictures of its caption; NaN: not known.
     *
     * @param powers of all octaves; empty: not measured
     */
    double logOfPower(int band, List<Double> powers, String caption) {
        List<Double> own = bandLogs.getOrDefault(caption, bandLogs.get(""));
        return own == null || powers.isEmpty()
                ? Double.NaN
                : Math.log(powers.get(band)) - own.get(band);
    }
}
