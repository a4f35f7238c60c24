// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.Function;

/**
 * A stage of a relay: a row of its table. Between two stages the clean latents that the first one
 * predicts in its last step are enlarged, and noised anew to where the second one begins. Written as
 * in {@code "2x 0.6..1 guidance=6"} ({@link #parse}).
 *
 * @param scale of native size along both axes; {@link #FULL}: that of the picture
 * @param levels the noise levels that it visits
 * @param guidance classifier-free guidance scale, in guidance scales of the request
 * @param lowGuidance the same of low frequencies; empty: as {@code guidance}
 * @param windows distance of windows of native size, in their sizes; 0: all latents in one view
 * @param enlarge how its canvas comes from the stage before
 * @param sharpen weight of an unsharp mask after that, 0: none
 * @param hold share of its steps, from the first on, whose predictions keep the low frequencies of the
 *     enlarged stage before
 * @param lowPass what {@code lowGuidance} and {@code hold} call low frequencies
 * @param told which size the network is told (SDXL's time_ids)
 * @param interval noise levels with classifier-free guidance; null: those of the request
 */
public record RelayStage(
        double scale,
        Levels levels,
        double guidance,
        OptionalDouble lowGuidance,
        double windows,
        Enlarge enlarge,
        double sharpen,
        double hold,
        LowPass lowPass,
        Told told,
        @Nullable GuidanceInterval interval) {

    /** The scale of the picture. */
    public static final double FULL = 0;

    /** Of {@code scale}. */
    public static final Range SCALE_RANGE = new Range(1, 64);

    private static final Range WINDOWS_RANGE = new Range(0, 1);
    private static final Range SHARPEN_RANGE = new Range(0, 10);

    public RelayStage {
        if (scale != FULL) {
            SCALE_RANGE.check("the scale of a stage", scale);
        }
        GenerationRequest.GUIDANCE_SCALE_RANGE.check("the guidance of a stage", guidance);
        GenerationRequest.GUIDANCE_SCALE_RANGE.check("the low guidance of a stage", lowGuidance);
        WINDOWS_RANGE.check("the distance of windows", windows);
        SHARPEN_RANGE.check("the sharpening before a stage", sharpen);
        Range.SHARE.check("the held share of a stage", hold);
    }

    /** Makes a stage of the whole latents, guided as the request, after bicubic enlargement. */
    public RelayStage(double scale, Levels levels) {
        this(
                scale,
                levels,
                1,
                OptionalDouble.empty(),
                0,
                Enlarge.BICUBIC,
                0,
                0,
                LowPass.BILINEAR,
                Told.STAGE,
                null);
    }

    /** The noise levels of a stage, from noisy to clean. */
    public sealed interface Levels {}

    /**
     * Steps of the request's schedule.
     *
     * @param from share of the steps before the first, 0..1
     * @param to share of the steps up to the last, more than {@code from}, at most 1
     * @param density steps of that schedule in steps of the request
     */
    public record Part(double from, double to, double density) implements Levels {
        /** Of {@code density}. */
        private static final Range DENSITY_RANGE = new Range(0.01, 20);

        public Part {
            Range.SHARE.check("the begin of a stage", from);
            Range.SHARE.check("the end of a stage", to);
            DENSITY_RANGE.check("the density of a stage", density);
            if (from >= to) {
                throw new BadRequestException(
                        "a stage goes from "
                                + number(from)
                                + " to "
                                + number(to)
                                + " of the schedule: noise has to fall within a stage, so give the"
                                + " smaller share first, as in 0.6..1");
            }
        }
    }

    /**
     * Timesteps at equal distances (FreCaS).
     *
     * @param from the first
     * @param to the last, below {@code from}
     * @param steps of the stage
     */
    public record Timesteps(int from, int to, int steps) implements Levels {
        private static final Range TIMESTEP_RANGE = new Range(0, 1_000_000);

        public Timesteps {
            TIMESTEP_RANGE.check("the first timestep of a stage", from);
            TIMESTEP_RANGE.check("the last timestep of a stage", to);
            GenerationRequest.STEPS_RANGE.check("the steps of a stage", steps);
            if (from <= to) {
                throw new BadRequestException(
                        "a stage goes from timestep "
                                + from
                                + " to "
                                + to
                                + ": timesteps have to fall within a stage, as in t343..0/10");
            }
        }
    }

    /** How a stage's canvas comes from the stage before. */
    public enum Enlarge {
        /** Decoded, enlarged by cubic interpolation, encoded. */
        BICUBIC,
        /** Decoded, enlarged by repetition, encoded. */
        NEAREST,
        /** Decoded, enlarged by the bundle's upscalers, encoded. */
        UPSCALER,
        /** Linear interpolation of latents, without the VAE. */
        LATENT
    }

    /** A low-pass filter. */
    public enum LowPass {
        /** Down to the size of the stage before and up again by linear interpolation (FreCaS). */
        BILINEAR,
        /** The approximation band of a wavelet transform of one level, db4 (DiffuseHigh). */
        DB4
    }

    /** Which size the network is told. */
    public enum Told {
        /** The stage's. */
        STAGE,
        /** Native size. */
        NATIVE,
        /** The picture's. */
        PICTURE
    }

    public RelayStage withGuidance(double factor) {
        return with("guidance", number(factor));
    }

    public RelayStage withLowGuidance(double factor) {
        return with("low", number(factor));
    }

    public RelayStage withWindows(double distance) {
        return with("windows", number(distance));
    }

    public RelayStage withEnlarge(Enlarge how) {
        return with("enlarge", OptionNames.of(how));
    }

    public RelayStage withSharpen(double weight) {
        return with("sharpen", number(weight));
    }

    public RelayStage withHold(double share, LowPass filter) {
        return with("hold", number(share)).with("lowpass", OptionNames.of(filter));
    }

    public RelayStage withTold(Told size) {
        return with("told", OptionNames.of(size));
    }

    /** The same at other noise levels. */
    public RelayStage withLevels(Levels other) {
        return new RelayStage(
                scale,
                other,
                guidance,
                lowGuidance,
                windows,
                enlarge,
                sharpen,
                hold,
                lowPass,
                told,
                interval);
    }

    /** The same with one setting as it is written. */
    private RelayStage with(String key, String value) {
        return new RelayStage(
                scale,
                key.equals("density") ? dense(levels, decimal(key, value)) : levels,
                key.equals("guidance") ? decimal(key, value) : guidance,
                key.equals("low") ? OptionalDouble.of(decimal(key, value)) : lowGuidance,
                key.equals("windows") ? decimal(key, value) : windows,
                key.equals("enlarge") ? constant(Enlarge.class, key, value) : enlarge,
                key.equals("sharpen") ? decimal(key, value) : sharpen,
                key.equals("hold") ? decimal(key, value) : hold,
                key.equals("lowpass") ? constant(LowPass.class, key, value) : lowPass,
                key.equals("told") ? constant(Told.class, key, value) : told,
                key.equals("interval") ? interval(value) : interval);
    }

    /** Settings of a stage by how they are written, and what they are without it. */
    private static final Map<String, Function<RelayStage, String>> SETTINGS =
            Map.ofEntries(
                    Map.entry("density", s -> s.levels instanceof Part p ? number(p.density) : "1"),
                    Map.entry("guidance", s -> number(s.guidance)),
                    Map.entry(
                            "low",
                            s ->
                                    s.lowGuidance.isPresent()
                                            ? number(s.lowGuidance.getAsDouble())
                                            : ""),
                    Map.entry("windows", s -> number(s.windows)),
                    Map.entry("enlarge", s -> OptionNames.of(s.enlarge)),
                    Map.entry("sharpen", s -> number(s.sharpen)),
                    Map.entry("hold", s -> number(s.hold)),
                    Map.entry("lowpass", s -> OptionNames.of(s.lowPass)),
                    Map.entry("told", s -> OptionNames.of(s.told)),
                    Map.entry("interval", s -> s.interval == null ? "" : s.interval.toString()));

    /** In the order in which they are written. */
    private static final List<String> KEYS =
            List.of(
                    "density",
                    "guidance",
                    "low",
                    "windows",
                    "enlarge",
                    "sharpen",
                    "hold",
                    "lowpass",
                    "told",
                    "interval");

    /**
     * Reads a stage: its scale, {@code 1x}, {@code 2.5x} or {@code full}; its noise levels, {@code
     * 0.6..1} for shares of the schedule or {@code t343..0/10} for 10 timesteps; then settings, as in
     * {@code guidance=6}.
     *
     * @throws BadRequestException with what was found and what would have been right
     */
    public static RelayStage parse(String text) {
        String[] words = text.strip().toLowerCase(Locale.ROOT).split("\\s+");
        if (words.length < 2) {
            throw new BadRequestException(
                    "the stage '"
                            + text.strip()
                            + "' has no size or no noise levels: write both, as in \"2x 0.6..1\"");
        }
        RelayStage stage = new RelayStage(scale(words[0]), levels(words[1]));
        for (String word : List.of(words).subList(2, words.length)) {
            int equals = word.indexOf('=');
            String key = equals < 0 ? word : word.substring(0, equals);
            if (equals < 0 || !KEYS.contains(key)) {
                throw new BadRequestException(
                        "'"
                                + word
                                + "' is no setting of a stage: there are "
                                + String.join("=, ", KEYS)
                                + "=");
            }
            stage = stage.with(key, word.substring(equals + 1));
        }
        return stage;
    }

    /**
     * Reads the stages of a table, with semicolons between them.
     *
     * @throws BadRequestException as {@link #parse}
     */
    public static List<RelayStage> table(String text) {
        return Arrays.stream(text.split(";", -1))
                .filter(row -> !row.isBlank())
                .map(RelayStage::parse)
                .toList();
    }

    /** Writes a table as {@link #table} reads it. */
    public static String text(List<RelayStage> table) {
        return String.join("; ", table.stream().map(RelayStage::toString).toList());
    }

    /** As {@link #parse} reads it; settings that are as usual are left out. */
    @Override
    public String toString() {
        List<String> words = new ArrayList<>();
        words.add(scale == FULL ? "full" : number(scale) + "x");
        words.add(
                switch (levels) {
                    case Part p -> number(p.from) + ".." + number(p.to);
                    case Timesteps t -> "t" + t.from + ".." + t.to + "/" + t.steps;
                });
        RelayStage usual = new RelayStage(scale, new Part(0, 1, 1));
        for (String key : KEYS) {
            Function<RelayStage, String> setting = SETTINGS.get(key);
            if (setting != null && !setting.apply(this).equals(setting.apply(usual))) {
                words.add(key + "=" + setting.apply(this));
            }
        }
        return String.join(" ", words);
    }

    private static double scale(String word) {
        if (word.equals("full")) {
            return FULL;
        }
        if (!word.endsWith("x")) {
            throw new BadRequestException(
                    "'"
                            + word
                            + "' is no size of a stage: write 1x, 2x, 2.5x of native size, or"
                            + " full for the picture's");
        }
        double scale = decimal("scale", word.substring(0, word.length() - 1));
        if (scale < 1) {
            throw new BadRequestException(
                    "a stage of "
                            + word
                            + " is below native size, at which the model was trained: use 1x or"
                            + " more");
        }
        return scale;
    }

    private static Levels levels(String word) {
        int dots = word.indexOf("..");
        int slash = word.indexOf('/');
        boolean timesteps = word.startsWith("t");
        if (dots < 0 || timesteps != slash > dots) {
            throw new BadRequestException(
                    "'"
                            + word
                            + "' are no noise levels: write shares of the schedule, as in 0.6..1,"
                            + " or timesteps with their number, as in t343..0/10");
        }
        return timesteps
                ? new Timesteps(
                        whole(word.substring(1, dots)),
                        whole(word.substring(dots + 2, slash)),
                        whole(word.substring(slash + 1)))
                : new Part(
                        decimal("begin", word.substring(0, dots)),
                        decimal("end", word.substring(dots + 2)),
                        1);
    }

    private static Levels dense(Levels levels, double density) {
        if (levels instanceof Part part) {
            return new Part(part.from, part.to, density);
        }
        throw new BadRequestException(
                "density=" + number(density) + " is for shares of the schedule: leave it out");
    }

    private static int whole(String text) {
        return OptionType.integer().parse().apply(text);
    }

    private static double decimal(String key, String text) {
        try {
            return OptionType.decimal().parse().apply(text);
        } catch (BadRequestException e) {
            throw new BadRequestException("the " + key + " of a stage: " + e.getMessage(), e);
        }
    }

    private static GuidanceInterval interval(String text) {
        try {
            return GuidanceInterval.parse(text);
        } catch (BadRequestException e) {
            throw new BadRequestException("the interval of a stage: " + e.getMessage(), e);
        }
    }

    private static <E extends Enum<E>> E constant(Class<E> type, String key, String text) {
        try {
            return OptionType.constant(type).parse().apply(text);
        } catch (BadRequestException e) {
            throw new BadRequestException("the " + key + " of a stage: " + e.getMessage(), e);
        }
    }

    private static String number(double value) {
        return value == Math.rint(value) ? Long.toString((long) value) : Double.toString(value);
    }
}
