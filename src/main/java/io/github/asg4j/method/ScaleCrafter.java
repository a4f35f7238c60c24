// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.DilationOptions;
import io.github.asg4j.DilationOptions.Course;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Dilation;
import io.github.asg4j.plan.Guidance;
import io.github.asg4j.plan.Stage;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.IntToDoubleFunction;

/**
 * ScaleCrafter (arXiv 2310.07702): direct inference, but in the first steps the convolutions are
 * dilated, so that they see as much of the picture as at native size. Its dispersed convolution is
 * switched off in all settings its authors published, and left out here; FreeU, which their code
 * adds, too.
 */
final class ScaleCrafter implements Method {
    /** Beyond so many native sizes the factors differ from level to level and fall step by step. */
    private static final double LARGE = 3;

    /** Share of the steps for factors that are asked for at native size. */
    private static final double SHARE = 0.6;

    /**
     * Cells a side that the deepest level has at native size: 32 in SDXL, 8 in Stable Diffusion 1.5
     * and 2.1, 4 in the demo. Beyond so many a UNet is dilated as SDXL, else as Stable Diffusion 1.5.
     */
    private static final int COARSE = 16;

    /**
     * What the authors' code does for one network and size.
     *
     * @param factors by group; groups that a bundle lacks count for nothing, as in their code
     * @param share of the steps that are dilated
     * @param dampedFactors of the second pass of noise-damped guidance
     * @param dampedShare of the steps with noise-damped guidance
     */
    private record Table(
            Map<String, Double> factors,
            double share,
            Course course,
            Map<String, Double> dampedFactors,
            double dampedShare) {}

    @Override
    public Sampling paper() {
        return new Sampling("ddim", OptionalDouble.empty(), 1);
    }

    @Override
    public List<Stage> stages(Setting setting) {
        List<String> groups = groups(setting);
        DilationOptions asked = setting.request().dilation();
        Table table = table(setting);
        Map<String, Double> factors =
                asked.factors().isEmpty()
                        ? resolve(table.factors(), groups)
                        : resolve(known(asked.factors(), groups), groups);
        double share = asked.share().orElse(table.factors().isEmpty() ? SHARE : table.share());
        int dilated = factors.isEmpty() ? 0 : setting.stepsWithin(share);
        double dampedShare =
                asked.dampedShare()
                        .orElse(asked.dampedFactors().isEmpty() ? table.dampedShare() : share);
        int damped = setting.guidanceScale() == 1 ? 0 : setting.stepsWithin(dampedShare);
        Course course = asked.course() == null ? table.course() : asked.course();
        List<Stage> stages = new ArrayList<>();
        if (dilated > 0) {
            stages.add(
                    new Stage.Dilated(
                            setting.canvas().height(),
                            setting.canvas().width(),
                            Guidance.always(setting.guidanceScale()),
                            groups,
                            new Dilation(factors, course, dilated),
                            new Dilation(
                                    asked.dampedFactors().isEmpty()
                                            ? resolve(table.dampedFactors(), groups)
                                            : resolve(known(asked.dampedFactors(), groups), groups),
                                    course,
                                    dilated),
                            Math.min(damped, dilated)));
        }
        if (dilated < setting.steps()) {
            stages.add(Direct.from(setting, dilated));
        }
        return List.copyOf(stages);
    }

    private static List<String> groups(Setting setting) {
        var denoiser = setting.manifest().denoiser();
        if (denoiser.transformer()) {
            throw new BadRequestException(
                    "the bundle \""
                            + setting.manifest().name()
                            + "\" has a transformer, and scalecrafter dilates the convolutions of"
                            + " a UNet, of which a transformer has none: use another method, such"
                            + " as --method asg");
        }
        if (denoiser.dilatedFile() == null) {
            throw new BadRequestException(
                    "the bundle \""
                            + setting.manifest().name()
                            + "\" has no denoiser_dilated.onnx (dilated_file in its manifest.json),"
                            + " which scalecrafter draws with. Give the checkpoint that it was made"
                            + " from (--model), or write a bundle of it: asg bundle CHECKPOINT"
                            + " --out BUNDLE");
        }
        return denoiser.dilationGroups();
    }

    /** What {@code named} says for every group: by its own name or by that of a part above it. */
    private static Map<String, Double> resolve(Map<String, Double> named, List<String> groups) {
        Map<String, Double> resolved = new LinkedHashMap<>();
        for (String group : groups) {
            String name = group;
            while (!named.containsKey(name) && name.indexOf('.') >= 0) {
                name = name.substring(0, name.lastIndexOf('.'));
            }
            Double factor = named.get(name);
            if (factor != null) {
                resolved.put(group, factor);
            }
        }
        return resolved;
    }

    private static Map<String, Double> known(Map<String, Double> asked, List<String> groups) {
        for (String name : asked.keySet()) {
            if (groups.stream().noneMatch(g -> g.equals(name) || g.startsWith(name + "."))) {
                throw new BadRequestException(
                        "unknown group of convolutions \""
                                + name
                                + "\": the bundle has "
                                + String.join(", ", groups));
            }
        }
        return asked;
    }

    /**
     * The published factors at the published sizes; between them one factor for all, the picture's
     * extent in native sizes up to the next half. Published are, in native sizes, 2, 2.5, 4x2 and 4.
     */
    private static Table table(Setting setting) {
        Canvas canvas = setting.canvas();
        double y = (double) canvas.y().pixels() / canvas.y().factor() / canvas.nativeHeight();
        double x = (double) canvas.x().pixels() / canvas.x().factor() / canvas.nativeWidth();
        // an eighth more than a size is still that size
        double factor = Math.ceil(2 * (Math.max(y, x) - 0.125)) / 2;
        if (factor <= 1) {
            return new Table(Map.of(), 0, Course.CONSTANT, Map.of(), 0);
        }
        // every level halves the extents
        int multiple = setting.manifest().latent().unetMultiple();
        int deepest = Math.min(canvas.nativeHeight(), canvas.nativeWidth()) / multiple;
        if (deepest > COARSE) {
            return factor <= LARGE ? sdxl(factor) : sdxlAtFour(Math.min(y, x) > LARGE);
        }
        int levels = Integer.numberOfTrailingZeros(multiple) + 1;
        return factor <= LARGE ? stable(levels, factor) : stableAtFour(levels);
    }

    /** SDXL at 2048 x 2048 and 2560 x 2560. */
    private static Table sdxl(double factor) {
        Map<String, Double> factors = Map.of("mid_block", factor, "up_blocks.0", factor);
        return new Table(factors, 0.6, Course.CONSTANT, Map.of(), 0);
    }

    /** SDXL at 4096 x 4096 ({@code square}) and 4096 x 2048. */
    private static Table sdxlAtFour(boolean square) {
        Map<String, Double> factors =
                Map.of(
                        "down_blocks.2", square ? 4.0 : 3.0,
                        "mid_block", 4.0,
                        "up_blocks.0", 4.0,
                        "up_blocks.1", 3.0,
                        "up_blocks.2", 2.0);
        Map<String, Double> damped = Map.of("mid_block", 2.0, "up_blocks.0", 2.0);
        return new Table(factors, 0.7, Course.PROGRESSIVE, damped, 0.7);
    }

    /** Stable Diffusion 1.5 at 1024 x 1024 and 1280 x 1280: all levels but the outermost. */
    private static Table stable(int levels, double factor) {
        return new Table(
                byLevel(levels, level -> level > 0 ? factor : 1),
                factor > 2 ? 0.7 : 0.6,
                Course.CONSTANT,
                Map.of(),
                0);
    }

    /**
     * Stable Diffusion 1.5 at 2048 x 2048 and 2048 x 1024: 4 in the deepest level, one less in each
     * above it. The damped pass leaves the outermost of the dilated levels plain.
     */
    private static Table stableAtFour(int levels) {
        int outermost = Math.max(1, levels - 3);
        return new Table(
                byLevel(levels, level -> level < outermost ? 1 : 4 - (levels - 1 - level)),
                0.7,
                Course.PROGRESSIVE,
                byLevel(levels, level -> level <= outermost ? 1 : 4 - (levels - 1 - level)),
                0.7);
    }

    /** Level 0 is the outermost, the middle block belongs to the deepest. */
    private static Map<String, Double> byLevel(int levels, IntToDoubleFunction factor) {
        Map<String, Double> factors = new HashMap<>();
        factors.put("mid_block", factor.applyAsDouble(levels - 1));
        for (int level = 0; level < levels; level++) {
            factors.put("down_blocks." + level, factor.applyAsDouble(level));
            factors.put("up_blocks." + (levels - 1 - level), factor.applyAsDouble(level));
        }
        factors.values().removeIf(f -> f == 1);
        return factors;
    }
}
