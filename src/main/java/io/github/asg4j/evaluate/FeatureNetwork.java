// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.ort.OrtSession;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A network whose features KID and FID compare: {@code image} [B, 3, h, w], RGB in [0, 1], to {@code
 * features} [B, d] and, where it classifies, {@code probabilities} [B, classes] (for IS). The demo's
 * own, Inception-v3, CLIP: see {@code asg4j-export metrics}. One thread at a time.
 */
final class FeatureNetwork implements AutoCloseable {
    private static final String FEATURES = "features";
    private static final String PROBABILITIES = "probabilities";

    private final ImageNetwork network;
    private final String id;

    /**
     * @param session closed with this object
     * @param id SHA-256 of the graph
     */
    FeatureNetwork(OrtSession session, String id) {
        List<String> outputs = new ArrayList<>(List.of(FEATURES));
        outputs.addAll(ImageNetwork.present(session, PROBABILITIES));
        network = new ImageNetwork(session, "image", outputs);
        this.id = id;
    }

    /** SHA-256 of the graph: features of different networks are not comparable. */
    String id() {
        return id;
    }

    /** Numbers of a feature. */
    int width() {
        return network.size(FEATURES);
    }

    boolean classifies() {
        return network.has(PROBABILITIES);
    }

    /**
     * Features of one picture.
     *
     * @param whole features of the picture made as small, or as large, as the network takes
     * @param crops features of parts in its own resolution; empty if it is smaller than a part
     * @param probabilities of the whole picture; null: the network does not classify
     */
    record Features(float[] whole, float[][] crops, float @Nullable [] probabilities) {}

    /**
     * @param crops how many
     * @param seed of where they lie; pictures of one size and seed are cropped alike
     */
    Features of(Picture picture, int crops, long seed) {
        network.run(picture.resized(network.width(), network.height()));
        float[] whole = network.result(FEATURES);
        float[] probabilities = classifies() ? network.result(PROBABILITIES) : null;
        int roomX = picture.width() - network.width();
        int roomY = picture.height() - network.height();
        if (roomX < 0 || roomY < 0) {
            return new Features(whole, new float[0][], probabilities);
        }
        if (roomX == 0 && roomY == 0) {
            return new Features(whole, new float[][] {whole}, probabilities);
        }
        SplittableRandom random = new SplittableRandom(seed);
        float[][] parts = new float[crops][];
        for (int i = 0; i < crops; i++) {
            int x = random.nextInt(roomX + 1);
            int y = random.nextInt(roomY + 1);
            network.run(picture.crop(x, y, network.width(), network.height()));
            parts[i] = network.result(FEATURES);
        }
        return new Features(whole, parts, probabilities);
    }

    /** The rows [1 + crops, d + classes] of a file: probabilities stand in the first. */
    float[][] packed(Features features) {
        int classes = features.probabilities() == null ? 0 : features.probabilities().length;
        float[][] rows = new float[1 + features.crops().length][];
        rows[0] = Arrays.copyOf(features.whole(), width() + classes);
        if (features.probabilities() != null) {
            System.arraycopy(features.probabilities(), 0, rows[0], width(), classes);
        }
        for (int i = 0; i < features.crops().length; i++) {
            rows[1 + i] = Arrays.copyOf(features.crops()[i], width() + classes);
        }
        return rows;
    }

    /** The inverse of {@link #packed}. */
    Features unpacked(float[][] rows) {
        int d = width();
        float[][] crops = new float[rows.length - 1][];
        for (int i = 0; i < crops.length; i++) {
            crops[i] = Arrays.copyOf(rows[1 + i], d);
        }
        return new Features(
                Arrays.copyOf(rows[0], d),
                crops,
                classifies() ? Arrays.copyOfRange(rows[0], d, rows[0].length) : null);
    }

    @Override
    public void close() {
        network.close();
    }
}
