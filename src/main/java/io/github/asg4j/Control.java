// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/**
 * A picture that a control network (ControlNet, arXiv 2302.05543) holds the drawing to: edges, depths,
 * a pose, or whatever the network was trained on.
 *
 * @param network name of the control network: its folder's, in the bundle's {@code controlnets} or in
 *     {@link EngineOptions#controls}
 * @param picture of any size, fitted to the picture to draw as {@link GenerationRequest#imageFit} says
 * @param weight what the network's outputs are multiplied with, 0..2
 * @param start share of the steps after which the network begins, 0..1
 * @param end share of the steps at which it ends, 0..1, not before {@code start}
 * @param preprocess what becomes of the picture before the network sees it
 */
public record Control(
        String network,
        Content picture,
        double weight,
        double start,
        double end,
        Preprocess preprocess) {
    /** Of {@code weight}. */
    public static final Range WEIGHT_RANGE = new Range(0, 2);

    /** Of the thresholds of {@link Preprocess#canny}. */
    public static final Range THRESHOLD_RANGE = new Range(0, 2000);

    private static final String FORM =
            "NETWORK:PICTURE or NETWORK:PICTURE:weight=0.8,start=0,end=0.7,preprocess=canny";

    public Control {
        Objects.requireNonNull(picture, "picture");
        Objects.requireNonNull(preprocess, "preprocess");
        if (network.isBlank() || !network.equals(network.strip())) {
            throw new BadRequestException(
                    "'" + network + "' is no name of a control network: give " + FORM);
        }
        WEIGHT_RANGE.check("weight of the control " + network, weight);
        Range.SHARE.check("start of the control " + network, start);
        Range.SHARE.check("end of the control " + network, end);
        if (end < start) {
            throw new BadRequestException(
                    "the control "
                            + network
                            + " ends at "
                            + end
                            + ", before it starts at "
                            + start
                            + ": give shares of the steps in order, as in start=0,end=0.7");
        }
    }

    /** A control of full weight in all steps, whose picture is shown as it is. */
    public static Control of(String network, Content picture) {
        return new Control(network, picture, 1, 0, 1, Preprocess.NONE);
    }

    /** What becomes of a picture before a control network sees it. */
    public enum Kind {
        /** Nothing: it is a map already, of edges, depths or a pose. */
        NONE,
        /** White edges on black: those that OpenCV's Canny finds. */
        CANNY,
        /** What a picture of the model's native size holds of it, as networks that add detail take it. */
        TILE
    }

    /**
     * How a picture becomes what the network sees.
     *
     * @param low Canny: gradients above it go on an edge
     * @param high Canny: gradients above it begin an edge
     */
    public record Preprocess(Kind kind, double low, double high) {
        private static final double LOW = 100;
        private static final double HIGH = 200;

        /** The picture as it is. */
        public static final Preprocess NONE = new Preprocess(Kind.NONE, 0, 0);

        /** What a picture of native size holds. */
        public static final Preprocess TILE = new Preprocess(Kind.TILE, 0, 0);

        /** Edges between the usual thresholds. */
        public static final Preprocess CANNY = canny(LOW, HIGH);

        public Preprocess {
            Objects.requireNonNull(kind, "kind");
            if (kind == Kind.CANNY) {
                THRESHOLD_RANGE.check("low threshold of Canny", low);
                THRESHOLD_RANGE.check("high threshold of Canny", high);
                if (high < low) {
                    throw new BadRequestException(
                            "Canny's high threshold "
                                    + high
                                    + " is below its low one, "
                                    + low
                                    + ": give them in order, as in low=100,high=200");
                }
            } else if (low != 0 || high != 0) {
                throw new BadRequestException(
                        "low and high are thresholds of preprocess=canny: leave them out of"
                                + " preprocess="
                                + OptionNames.of(kind));
            }
        }

        /**
         * Edges.
         *
         * @param low gradients above it go on an edge, levels of 255 as OpenCV's Canny has them
         * @param high gradients above it begin an edge
         */
        public static Preprocess canny(double low, double high) {
            return new Preprocess(Kind.CANNY, low, high);
        }
    }

    /**
     * Reads NETWORK:PICTURE[:KEY=VALUE,...]. What follows the last colon and is no setting belongs to
     * the picture's name.
     *
     * @throws BadRequestException naming what cannot be read
     */
    static Control parse(String text) {
        int first = text.indexOf(':');
        if (first <= 0) {
            throw new BadRequestException("'" + text + "' names no picture: give " + FORM);
        }
        int last = text.lastIndexOf(':');
        boolean set = last > first && text.substring(last + 1).matches("[a-z]+=.*");
        String place = text.substring(first + 1, set ? last : text.length());
        if (place.isEmpty()) {
            throw new BadRequestException("'" + text + "' names no picture: give " + FORM);
        }
        Settings settings = new Settings();
        for (String part : set ? text.substring(last + 1).split(",", -1) : new String[0]) {
            int equals = part.indexOf('=');
            settings.set(
                    part.substring(0, Math.max(equals, 0)).strip(), part.substring(equals + 1));
        }
        return settings.of(
                text.substring(0, first), OptionType.content("FILE").parse().apply(place));
    }

    /** Settings as they are written; what is not given has its usual value. */
    static final class Settings {
        private final List<String> seen = new ArrayList<>();
        private double weight = 1;
        private double start;
        private double end = 1;
        private Kind kind = Kind.NONE;
        private @Nullable Double low;
        private @Nullable Double high;

        void set(String key, String value) {
            if (seen.contains(key)) {
                throw new BadRequestException("'" + key + "' of a control is given twice");
            }
            seen.add(key);
            switch (key) {
                case "weight" -> weight = number(key, value);
                case "start" -> start = number(key, value);
                case "end" -> end = number(key, value);
                case "low" -> low = number(key, value);
                case "high" -> high = number(key, value);
                case "preprocess" -> kind = OptionType.constant(Kind.class).parse().apply(value);
                default ->
                        throw new BadRequestException(
                                "'"
                                        + key
                                        + "' is no setting of a control: these are weight, start,"
                                        + " end, preprocess, low and high, as in "
                                        + FORM);
            }
        }

        private static double number(String key, String value) {
            try {
                return OptionType.decimal().parse().apply(value);
            } catch (BadRequestException e) {
                throw new BadRequestException(key + ": " + e.getMessage(), e);
            }
        }

        Control of(String network, Content picture) {
            boolean canny = kind == Kind.CANNY;
            double from =
                    low != null ? low : canny ? Math.min(Preprocess.LOW, high(Preprocess.LOW)) : 0;
            double to = high != null ? high : canny ? Math.max(Preprocess.HIGH, from) : 0;
            return new Control(
                    network, picture, weight, start, end, new Preprocess(kind, from, to));
        }

        private double high(double otherwise) {
            return high == null ? otherwise : high;
        }
    }

    /** The settings that are not the usual ones, as {@link #parse} reads them; empty: all are. */
    public String settings() {
        List<String> parts = new ArrayList<>();
        if (weight != 1) {
            parts.add("weight=" + shown(weight));
        }
        if (start != 0) {
            parts.add("start=" + shown(start));
        }
        if (end != 1) {
            parts.add("end=" + shown(end));
        }
        if (preprocess.kind() != Kind.NONE) {
            parts.add("preprocess=" + OptionNames.of(preprocess.kind()));
        }
        if (preprocess.kind() == Kind.CANNY && !preprocess.equals(Preprocess.CANNY)) {
            parts.add("low=" + shown(preprocess.low()));
            parts.add("high=" + shown(preprocess.high()));
        }
        return String.join(",", parts);
    }

    /** All settings, as JSON has them behind network and picture. */
    void putSettings(Map<String, Object> json) {
        json.put("weight", weight);
        json.put("start", start);
        json.put("end", end);
        json.put("preprocess", OptionNames.of(preprocess.kind()));
        if (preprocess.kind() == Kind.CANNY) {
            json.put("low", preprocess.low());
            json.put("high", preprocess.high());
        }
    }

    private static String shown(double number) {
        return number == Math.rint(number)
                ? String.format(Locale.ROOT, "%.0f", number)
                : Double.toString(number);
    }
}
