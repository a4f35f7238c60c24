// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import static io.github.asg4j.RelayStage.FULL;

import io.github.asg4j.LegOptions.Preset;
import io.github.asg4j.RelayStage;
import io.github.asg4j.RelayStage.Enlarge;
import io.github.asg4j.RelayStage.LowPass;
import io.github.asg4j.RelayStage.Part;
import io.github.asg4j.RelayStage.Timesteps;
import io.github.asg4j.RelayStage.Told;
import io.github.asg4j.schedule.NoiseLevels;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

/**
 * The tables of relays: this engine's own and those of published methods, each with the constants of its
 * paper and code. Shares of the schedule are those of 50 steps.
 */
final class RelayPresets {
    /** So many are drawn with distilled checkpoints alone. */
    private static final int FEW_STEPS = 8;

    /** Of the engine's own table: at native size, at twice that, beyond. */
    private static final List<Part> OF_FEW_STEPS =
            List.of(new Part(0, 1, 1), new Part(0.5, 1, 1), new Part(0.75, 1, 1));

    private static final List<Part> OF_MANY_STEPS =
            List.of(new Part(0, 0.8, 0.5), new Part(0.6, 1, 0.4), new Part(0.8, 1, 0.4));

    private RelayPresets() {}

    /**
     * A table and how it samples.
     *
     * @param sampling where the request says nothing
     */
    record Table(Method.Sampling sampling, List<RelayStage> stages) {
        Table {
            stages = List.copyOf(stages);
        }
    }

    /**
     * The table of a preset.
     *
     * @param scale of the picture in native sizes, at least 2
     * @param steps of the request
     */
    static Table of(Preset preset, int scale, int steps, NoiseLevels levels) {
        return switch (preset) {
            case RECTIFIEDHR -> rectifiedHr(scale);
            case FRECAS -> freCas(scale, steps, levels);
            case DIFFUSEHIGH -> diffuseHigh(scale);
            case MEGAFUSION -> megaFusion(scale);
            case HIRES_FIX -> hiresFix();
        };
    }

    /** How a preset samples. */
    static Method.Sampling sampling(Preset preset) {
        return switch (preset) {
            case RECTIFIEDHR -> new Method.Sampling("ddim", OptionalDouble.of(5), 0);
            case FRECAS -> new Method.Sampling("ddim", OptionalDouble.of(7.5), 0);
            case DIFFUSEHIGH -> new Method.Sampling("euler", OptionalDouble.of(5), 0);
            case MEGAFUSION -> new Method.Sampling("ddim", OptionalDouble.of(7), 0);
            case HIRES_FIX -> Method.Sampling.AS_BUNDLE;
        };
    }

    /**
     * This engine's own, as evaluated on the demo (docs/relay.md): half of the steps to native size and
     * 4/25 of them at twice that, whole; beyond, as long a way from there, its last half in windows. Few
     * steps are a distilled checkpoint's and cannot be thinned: all of them to native size, their last half
     * at twice that, their last quarter beyond.
     *
     * @param steps of the request
     */
    static Table own(int scale, int steps) {
        List<Part> parts = steps <= FEW_STEPS ? OF_FEW_STEPS : OF_MANY_STEPS;
        List<RelayStage> stages = new ArrayList<>();
        stages.add(new RelayStage(1, parts.get(0)));
        stages.add(new RelayStage(scale <= 2 ? FULL : 2, parts.get(1)));
        if (scale > 2) {
            stages.add(new RelayStage(FULL, parts.get(2)).withWindows(0.75));
        }
        return new Table(Method.Sampling.AS_BUNDLE, stages);
    }

    /**
     * Two stages up to 2x, three beyond. T_i = T_min + (T_max - T_min) (i / (N - 1))^M_T and w_i alike,
     * sizes at equal distances (Eq. 7 and 8, configs_sdxl.py).
     */
    private static Table rectifiedHr(int scale) {
        boolean two = scale <= 2;
        List<RelayStage> stages =
                two
                        ? List.of(
                                new RelayStage(1, new Part(0, 0.6, 1)),
                                new RelayStage(FULL, new Part(0.6, 1, 1)).withGuidance(6))
                        : List.of(
                                new RelayStage(1, new Part(0, 0.8, 1)),
                                new RelayStage((1 + scale) / 2.0, new Part(0.8, 0.94, 1))
                                        .withGuidance(1 + 9 * Math.sqrt(0.5)),
                                new RelayStage(FULL, new Part(0.94, 1, 1)).withGuidance(10));
        return new Table(sampling(Preset.RECTIFIEDHR), stages);
    }

    /**
     * Timesteps of test.sh, each stage's first from the signal-to-noise ratio at the end of the one
     * before (gamma 1.5 at 2x, 2 beyond); guidance 35 of high frequencies, 7.5 of low ones.
     */
    private static Table freCas(int scale, int steps, NoiseLevels levels) {
        List<RelayStage> stages =
                scale <= 2
                        ? freCas(levels, steps, 1.5, new double[] {1, scale}, 200, 0.8, 0, 0.2)
                        : freCas(
                                levels,
                                steps,
                                2,
                                new double[] {1, scale / 2.0, scale},
                                400,
                                0.6,
                                200,
                                0.1,
                                0,
                                0.3);
        return new Table(sampling(Preset.FRECAS), stages);
    }

    /**
     * @param ends of each stage the last timestep, and its share of the steps
     */
    private static List<RelayStage> freCas(
            NoiseLevels levels, int steps, double gamma, double[] scales, double... ends) {
        List<RelayStage> stages = new ArrayList<>();
        int train = levels.trainSteps();
        int from = train - 1;
        for (int i = 0; i < scales.length; i++) {
            int to = (int) (ends[2 * i] * train / 1000);
            int count = Math.max(1, (int) Math.floor(ends[2 * i + 1] * steps + 0.5));
            boolean last = i == scales.length - 1;
            RelayStage stage =
                    new RelayStage(last ? FULL : scales[i], new Timesteps(from, to, count))
                            .withEnlarge(Enlarge.NEAREST)
                            .withTold(Told.NATIVE);
            stages.add(i == 0 ? stage : stage.withGuidance(35 / 7.5).withLowGuidance(1));
            if (!last) {
                from = levels.enlarged(to, scales[i + 1] / scales[i], gamma);
            }
        }
        return stages;
    }

    /**
     * The whole schedule, then its last 15 of 50 steps at every size, half native sizes apart up to 2x,
     * whole ones beyond; the low band of the picture before is kept in the first 5 of the 15.
     */
    private static Table diffuseHigh(int scale) {
        List<RelayStage> stages = new ArrayList<>();
        stages.add(new RelayStage(1, new Part(0, 1, 1)).withTold(Told.NATIVE));
        for (double s = scale <= 2 ? 1.5 : 2; s <= scale; s += scale <= 2 ? 0.5 : 1) {
            stages.add(
                    new RelayStage(s < scale ? s : FULL, new Part(0.7, 1, 1))
                            .withGuidance(2)
                            .withSharpen(1)
                            .withHold(1 / 3.0, LowPass.DB4)
                            .withTold(Told.NATIVE));
        }
        return new Table(sampling(Preset.DIFFUSEHIGH), stages);
    }

    /** 40 and 10 of 50 steps; beyond 2x 40, 5 half way and 5. */
    private static Table megaFusion(int scale) {
        RelayStage base = new RelayStage(1, new Part(0, 0.8, 1));
        return new Table(
                sampling(Preset.MEGAFUSION),
                scale <= 2
                        ? List.of(base, new RelayStage(FULL, new Part(0.8, 1, 1)))
                        : List.of(
                                base,
                                new RelayStage((1 + scale) / 2.0, new Part(0.8, 0.9, 1)),
                                new RelayStage(FULL, new Part(0.9, 1, 1))));
    }

    /** Denoising strength 0.7 by as many steps as the base, latents enlarged. */
    private static Table hiresFix() {
        return new Table(
                sampling(Preset.HIRES_FIX),
                List.of(
                        new RelayStage(1, new Part(0, 1, 1)),
                        new RelayStage(FULL, new Part(0.3, 1, 1 / 0.7))
                                .withEnlarge(Enlarge.LATENT)));
    }
}
