// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.DilationOptions;
import io.github.asg4j.DilationOptions.Course;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Dilation;
import io.github.asg4j.plan.Stage;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * ScaleCrafter (arXiv 2310.07702): direct inference, but in the first steps the convolutions are
 * dilated, so that they see as much of the picture as at native size. Its dispersed convolution is
 * switched off in all settings its authors published, and left out here; FreeU, which their code
 * adds, too.
 */
final class ScaleCrafter implements Method {
    /** Beyond so many native sizes the factors differ from level to level and fall step by step. */
    private static final double LARGE = 3;

    /** UNets with so many levels are dilated as Stable Diffusion 1.5, with fewer as SDXL. */
    private static final int DEEP = 4;

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
            double dampedShare) {

        static Table constant(double share, double factor, String... groups) {
            Map<String, Double> factors = new LinkedHashMap<>();
            for (String group : groups) {
                factors.put(group, factor);
            }
            return new Table(factors, share, Course.CONSTANT, Map.of(), 0);
        }
    }

    @Override
    public Sampling paper() {
        return new Sampling("ddim", OptionalDouble.empty(), 1);
    }

    @Override
    public List<Stage> stages(Setting setting) {
        List<String> groups = groups(setting);
        DilationOptions asked = setting.request().dilation();
        Table table = table(groups, setting.canvas());
        Map<String, Double> factors =
                asked.factors().isEmpty()
                        ? resolve(table.factors(), groups)
                        : resolve(known(asked.factors(), groups), groups);
        double share = asked.share().orElse(table.share());
        int dilated = factors.isEmpty() ? 0 : steps(setting, share);
        double dampedShare =
                asked.dampedShare()
                        .orElse(asked.dampedFactors().isEmpty() ? table.dampedShare() : share);
        int damped = setting.guidanceScale() == 1 ? 0 : steps(setting, dampedShare);
        Course course = asked.course() == null ? table.course() : asked.course();
        List<Stage> stages = new ArrayList<>();
        if (dilated > 0) {
            stages.add(
                    new Stage.Dilated(
                            setting.canvas().height(),
                            setting.canvas().width(),
                            setting.guidanceScale(),
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

    private static int steps(Setting setting, double share) {
        return (int) Math.floor(setting.steps() * share + 0.5);
    }

    private static List<String> groups(Setting setting) {
        var denoiser = setting.manifest().denoiser();
        if (denoiser.dilatedFile() == null) {
            throw new BadRequestException(
                    "the bundle \""
                            + setting.manifest().name()
                            + "\" has no denoiser_dilated.onnx (dilated_file in its manifest.json),"
                            + " which scalecrafter draws with. Export the checkpoint again: python"
                            + " -m asg4j_export CHECKPOINT --out BUNDLE");
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
    private static Table table(List<String> groups, Canvas canvas) {
        double y = (double) canvas.y().pixels() / canvas.y().factor() / canvas.nativeHeight();
        double x = (double) canvas.x().pixels() / canvas.x().factor() / canvas.nativeWidth();
        // an eighth more than a size is still that size
        double factor = Math.ceil(2 * (Math.max(y, x) - 0.125)) / 2;
        boolean deep = groups.contains("down_blocks." + (DEEP - 1));
        if (factor <= 1) {
            return Table.constant(0.6, 1);
        }
        if (factor <= LARGE) {
            return deep
                    ? Table.constant(
                            factor > 2 ? 0.7 : 0.6,
                            factor,
                            "down_blocks.1",
                            "down_blocks.2",
                            "down_blocks.3",
                            "mid_block",
                            "up_blocks.0",
                            "up_blocks.1",
                            "up_blocks.2")
                    : Table.constant(0.6, factor, "mid_block", "up_blocks.0");
        }
        return deep ? deepAtFour() : shallowAtFour(Math.min(y, x) > LARGE);
    }

    /** Stable Diffusion 1.5 at 2048 x 2048 and 2048 x 1024. */
    private static Table deepAtFour() {
        Map<String, Double> damped = new LinkedHashMap<>();
        damped.put("down_blocks.2", 3.0);
        damped.put("down_blocks.3", 4.0);
        damped.put("mid_block", 4.0);
        damped.put("up_blocks.0", 4.0);
        damped.put("up_blocks.1", 3.0);
        Map<String, Double> factors = new LinkedHashMap<>(damped);
        factors.put("down_blocks.1", 2.0);
        factors.put("up_blocks.2", 2.0);
        return new Table(factors, 0.7, Course.PROGRESSIVE, damped, 0.7);
    }

    /** SDXL at 4096 x 4096 ({@code square}) and 4096 x 2048. */
    private static Table shallowAtFour(boolean square) {
        Map<String, Double> factors = new LinkedHashMap<>();
        factors.put("down_blocks.2", square ? 4.0 : 3.0);
        factors.put("mid_block", 4.0);
        factors.put("up_blocks.0", 4.0);
        factors.put("up_blocks.1", 3.0);
        factors.put("up_blocks.2", 2.0);
        Map<String, Double> damped = Map.of("mid_block", 2.0, "up_blocks.0", 2.0);
        return new Table(factors, 0.7, Course.PROGRESSIVE, damped, 0.7);
    }
}
