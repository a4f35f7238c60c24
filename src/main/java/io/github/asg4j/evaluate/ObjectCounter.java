// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.evaluate.ObjectModels.Subject;
import io.github.asg4j.ort.OrtSession;

import java.util.BitSet;
import java.util.List;

/**
 * Counts in a picture what its caption promises: a pixel belongs to the object if the caption's
 * colour explains it clearly better than the caption's background, holes are filled, specks opened
 * away, and components of at least a share of a native picture count if their colour is beyond doubt
 * on the mean, by itself and beside the biggest's. A small network names shape and colour of the biggest. The same as {@code onnx-export/asg4j_demo/count.py}, step by step.
 *
 * <p>It sees objects of the caption's colour only. One thread at a time.
 */
public final class ObjectCounter implements AutoCloseable {
    /** The network sees the box of the component, squared and this much larger. */
    private static final double MARGIN = 1.2;

    private final ObjectModels models;
    private final ImageNetwork namer;

    /**
     * @param namer closed with this object
     */
    ObjectCounter(ObjectModels models, OrtSession namer) {
        this.models = models;
        this.namer = new ImageNetwork(namer, "patch", List.of("shape", "colour"));
    }

    /** Whether a caption promises an object that can be counted. */
    public boolean knows(String caption) {
        return models.subject(caption) != null;
    }

    /**
     * Counts what the caption promises.
     *
     * @throws IllegalArgumentException if {@link #knows} says no
     */
    public Finding examine(Picture picture, String caption) {
        Subject subject = subject(caption);
        double scale = scale(picture);
        Picture small = analysed(picture);
        float[] margins = margins(small, subject);
        Mask mask = mask(small, margins);
        List<Mask.Component> found =
                sure(
                        mask.components(
                                models.smallestShare() / (scale * scale) * mask.pixels(), margins));
        if (found.isEmpty()) {
            return new Finding(0, "none", "none", 0, Double.NaN, false, false);
        }
        Mask.Component biggest = found.getFirst();
        namer.run(cut(small, biggest));
        int shape = namer.best("shape");
        int colour = namer.best("colour");
        return new Finding(
                found.size(),
                models.shapes().get(shape),
                models.colours().get(colour),
                (double) biggest.pixels() / mask.pixels(),
                biggest.aspect(),
                shape == subject.shape(),
                colour == subject.colour());
    }

    /** Those whose colour is beyond doubt, by itself and beside the biggest of them. */
    private List<Mask.Component> sure(List<Mask.Component> components) {
        List<Mask.Component> sure =
                components.stream().filter(c -> c.mean() >= models.meanMargin()).toList();
        return sure.stream()
                .filter(c -> c.mean() >= models.relativeMargin() * sure.getFirst().mean())
                .toList();
    }

    /** The pixels of the caption's object, at the size of {@link #analysed}. */
    Mask mask(Picture picture, String caption) {
        Picture small = analysed(picture);
        return mask(small, margins(small, subject(caption)));
    }

    private Subject subject(String caption) {
        Subject subject = models.subject(caption);
        if (subject == null) {
            throw new IllegalArgumentException("no caption of the bundle: " + caption);
        }
        return subject;
    }

    /** Size of the picture over the native one. */
    private double scale(Picture picture) {
        return Math.sqrt(picture.pixels()) / models.nativeSide();
    }

    /** The picture at which objects are sought: above twice native it is made smaller. */
    private Picture analysed(Picture picture) {
        int shrink = Math.max(1, (int) Math.rint(scale(picture) / 2));
        return shrink == 1 ? picture : picture.averaged(shrink);
    }

    private Mask mask(Picture small, float[] margins) {
        BitSet set = new BitSet(margins.length);
        for (int i = 0; i < margins.length; i++) {
            set.set(i, margins[i] > models.margin());
        }
        return Mask.of(small.width(), small.height(), set).filled().opened();
    }

    /** Computes by how much the caption's colour explains each pixel better than its background. */
    private float[] margins(Picture small, Subject subject) {
        Picture x = small.smoothed();
        ColourModel object = models.colourModels().get(subject.colour());
        List<ColourModel> grounds = models.backgroundModels().get(subject.background());
        float[] planes = x.planes();
        int n = x.pixels();
        float[] margins = new float[n];
        for (int i = 0; i < n; i++) {
            double red = planes[i];
            double green = planes[n + i];
            double blue = planes[2 * n + i];
            double background = models.farthest();
            for (ColourModel ground : grounds) {
                background = Math.min(background, ground.distance(red, green, blue));
            }
            double foreground = Math.min(models.farthest(), object.distance(red, green, blue));
            margins[i] = (float) (background - foreground);
        }
        return margins;
    }

    /** The component for the network: bilinear at twice its size, then means of 2 x 2. */
    private Picture cut(Picture small, Mask.Component box) {
        double side = Math.max(box.bottom() - box.top(), box.right() - box.left()) * MARGIN + 2;
        double cy = (box.top() + box.bottom()) / 2.0;
        double cx = (box.left() + box.right()) / 2.0;
        int n = 2 * models.patch();
        float[] planes = new float[Picture.CHANNELS * n * n];
        for (int y = 0; y < n; y++) {
            double fy = position(cy, side, y, n, small.height());
            int y0 = (int) fy;
            int y1 = Picture.clamp(y0 + 1, small.height());
            for (int x = 0; x < n; x++) {
                double fx = position(cx, side, x, n, small.width());
                int x0 = (int) fx;
                int x1 = Picture.clamp(x0 + 1, small.width());
                double wy = fy - y0;
                double wx = fx - x0;
                for (int c = 0; c < Picture.CHANNELS; c++) {
                    planes[(c * n + y) * n + x] =
                            (float)
                                    ((1 - wy)
                                                    * ((1 - wx) * small.at(c, y0, x0)
                                                            + wx * small.at(c, y0, x1))
                                            + wy
                                                    * ((1 - wx) * small.at(c, y1, x0)
                                                            + wx * small.at(c, y1, x1)));
                }
            }
        }
        return Picture.ofPlanes(n, n, planes).averaged(2);
    }

    /** Where sample {@code index} of {@code n} lies, in pixels; the border is repeated outwards. */
    private static double position(double centre, double side, int index, int n, int extent) {
        double at = centre + side * ((index + 0.5) / n - 0.5) - 0.5;
        return Math.max(0, Math.min(extent - 1, at));
    }

    @Override
    public void close() {
        namer.close();
    }
}
