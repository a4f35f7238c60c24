// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * What is asked of the stages of a relay. What is empty or null is the method's default for the
 * picture's size, printed by the plan.
 *
 * @param preset a published method's table; null: the engine's own
 * @param stages a table in its place; empty: that of the preset
 * @param views how all stages beyond native size see their canvas; null: as the table says
 * @param enlarge how all stages' canvases come from the stages before; null: as the table says
 */
public record LegOptions(
        @Nullable Preset preset,
        List<RelayStage> stages,
        @Nullable Views views,
        RelayStage.@Nullable Enlarge enlarge) {

    /** Nothing asked for: all by the method. */
    public static final LegOptions DEFAULT = new LegOptions(null, List.of(), null, null);

    public LegOptions {
        stages = List.copyOf(stages);
        if (preset != null && !stages.isEmpty()) {
            throw new BadRequestException(
                    "a relay has the table of the preset "
                            + OptionNames.of(preset)
                            + " or stages of its own, not both: leave one out");
        }
        checkScales(stages);
    }

    /** Published methods that are relays. */
    public enum Preset {
        /** RectifiedHR (arXiv 2503.02537). */
        RECTIFIEDHR,
        /** FreCaS (arXiv 2410.18410), without its reuse of cross-attention maps. */
        FRECAS,
        /** DiffuseHigh (arXiv 2406.18459), with its wavelet guidance on latents. */
        DIFFUSEHIGH,
        /** MegaFusion (arXiv 2408.11001). */
        MEGAFUSION,
        /** "Hires. fix" of AUTOMATIC1111's web UI, by its own defaults. */
        HIRES_FIX
    }

    /** How a stage beyond native size sees its canvas. */
    public enum Views {
        /** All latents in one view, as the papers do. */
        WHOLE,
        /** Overlapping windows of native size. */
        WINDOWS
    }

    private static void checkScales(List<RelayStage> stages) {
        double before = 1;
        for (int i = 0; i < stages.size(); i++) {
            double scale = stages.get(i).scale();
            boolean full = scale == RelayStage.FULL;
            if (i == 0 && scale != 1) {
                throw new BadRequestException(
                        "the first stage is '"
                                + stages.getFirst()
                                + "': a relay begins at native size, so let it be 1x");
            }
            if (full ? i < stages.size() - 1 : scale < before) {
                throw new BadRequestException(
                        "the stage '"
                                + stages.get(i)
                                + "' stands "
                                + (full ? "before others" : "behind one of " + before + "x")
                                + ": the stages of a relay grow from 1x to the picture, the last"
                                + " one is full");
            }
            before = scale;
        }
    }

    public LegOptions withPreset(Preset value) {
        return new LegOptions(value, stages, views, enlarge);
    }

    public LegOptions withStages(List<RelayStage> table) {
        return new LegOptions(preset, table, views, enlarge);
    }

    public LegOptions withViews(Views value) {
        return new LegOptions(preset, stages, value, enlarge);
    }

    public LegOptions withEnlarge(RelayStage.Enlarge value) {
        return new LegOptions(preset, stages, views, value);
    }
}
