// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.method;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.LegOptions;
import io.github.asg4j.RelayStage;
import io.github.asg4j.Size;
import io.github.asg4j.WindowOptions;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Guidance;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.plan.WindowAxis;
import io.github.asg4j.schedule.Stretch;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

/**
 * A relay: a picture of native size, then stages of growing size that each begin at a middle noise level
 * from the clean latents that the stage before predicted in its last step. RectifiedHR, FreCaS,
 * DiffuseHigh, MegaFusion and "hires. fix" are tables of such stages ({@link RelayPresets}).
 */
final class Relay implements Method {
    /** What windows do where neither the table nor the request says it. */
    private static final Defaults.Windows WINDOWS = Defaults.relay();

    @Override
    public List<Stage> stages(Setting setting) {
        List<RelayStage> table = table(setting);
        List<Stage> stages = new ArrayList<>();
        int first = 0;
        Stage.@Nullable Windows before = null;
        for (int i = given(setting) ? 1 : 0; i < table.size(); i++) {
            RelayStage row = table.get(i);
            int steps = stretch(row, setting).steps();
            Stage.Leg leg = leg(setting, row, i + 1, first, steps, before);
            stages.add(leg);
            before = leg.windows();
            first += steps;
        }
        return List.copyOf(stages);
    }

    @Override
    public List<Stretch> stretches(Setting setting) {
        List<RelayStage> table = table(setting);
        return table.subList(given(setting) ? 1 : 0, table.size()).stream()
                .map(row -> stretch(row, setting))
                .toList();
    }

    private static boolean given(Setting setting) {
        return setting.request().image() != null;
    }

    /** The table of the request: with its sizes checked, and what it overrides. */
    private static List<RelayStage> table(Setting setting) {
        LegOptions asked = setting.request().legs();
        OptionalDouble strength = setting.request().strength();
        int scale = setting.scale();
        List<RelayStage> table =
                asked.stages().isEmpty() ? usual(asked, setting) : fitting(asked.stages(), scale);
        if (given(setting) && table.size() < 2) {
            throw new BadRequestException(
                    "a relay enlarges a given picture, and the size asked for is its native size:"
                            + " ask for a larger --size, or leave out --image");
        }
        List<RelayStage> resolved = new ArrayList<>();
        for (int i = 0; i < table.size(); i++) {
            RelayStage row = table.get(i);
            if (i > 0 && asked.enlarge() != null) {
                row = row.withEnlarge(asked.enlarge());
            }
            if (i > 0 && asked.views() == LegOptions.Views.WHOLE) {
                row = row.withWindows(0);
            }
            boolean windows = asked.views() == LegOptions.Views.WINDOWS && row.windows() == 0;
            if (i > 0 && windows) {
                row = row.withWindows(0.5);
            }
            if (i == 1 && strength.isPresent()) {
                row = row.withLevels(from(1 - strength.getAsDouble(), row));
            }
            resolved.add(row);
        }
        return resolved;
    }

    /** The table of the preset, or the engine's own; at native size the whole schedule. */
    private static List<RelayStage> usual(LegOptions asked, Setting setting) {
        if (setting.scale() == 1) {
            return List.of(new RelayStage(1, new RelayStage.Part(0, 1, 1)));
        }
        LegOptions.Preset preset = asked.preset();
        return preset == null
                ? RelayPresets.own(setting.scale(), setting.steps()).stages()
                : RelayPresets.of(
                                preset,
                                setting.scale(),
                                setting.steps(),
                                setting.manifest().scheduler().levels())
                        .stages();
    }

    /** A table that was given: it ends at the picture's size. */
    private static List<RelayStage> fitting(List<RelayStage> table, int scale) {
        double last = table.getLast().scale();
        if (last != RelayStage.FULL && last != scale) {
            throw new BadRequestException(
                    "the last stage is '"
                            + table.getLast()
                            + "', and the picture is "
                            + scale
                            + "x of native size: let it be full, or ask for another --size");
        }
        for (RelayStage row : table) {
            if (row.scale() > scale) {
                throw new BadRequestException(
                        "the stage '"
                                + row
                                + "' is larger than the picture, which is "
                                + scale
                                + "x of native size: let it be smaller, or ask for another --size");
            }
        }
        return table;
    }

    private static RelayStage.Part from(double share, RelayStage row) {
        double end = row.levels() instanceof RelayStage.Part part ? part.to() : 1;
        if (share >= end) {
            throw new BadRequestException(
                    "strength "
                            + (1 - share)
                            + " leaves the stage '"
                            + row
                            + "' no step: it has to be more than "
                            + (1 - end));
        }
        return new RelayStage.Part(share, end, 1);
    }

    private static Stretch stretch(RelayStage row, Setting setting) {
        return switch (row.levels()) {
            case RelayStage.Part part -> {
                int of = Math.max(1, (int) Math.floor(setting.steps() * part.density() + 1e-9));
                int first = Math.min(of - 1, (int) Math.floor(of * part.from() + 0.5));
                int end = Math.max(first + 1, (int) Math.floor(of * part.to() + 0.5));
                yield new Stretch.Part(of, first, end);
            }
            case RelayStage.Timesteps t -> {
                if (setting.request().spacing() != null) {
                    throw new BadRequestException(
                            "the stage '"
                                    + row
                                    + "' names its timesteps: leave out the spacing "
                                    + setting.request().spacing());
                }
                yield new Stretch.Between(t.from(), t.to(), t.steps());
            }
        };
    }

    /**
     * @param number of the stage, from 1 on
     * @param before the windows of the stage before; null: there is none
     */
    private static Stage.Leg leg(
            Setting setting,
            RelayStage row,
            int number,
            int first,
            int steps,
            Stage.@Nullable Windows before) {
        var canvas = setting.canvas();
        int height = cells(setting, canvas.y().patch(), canvas.height(), row);
        int width = cells(setting, canvas.x().patch(), canvas.width(), row);
        WindowOptions options = setting.request().windows();
        boolean whole = row.windows() == 0;
        double scale = guidance(setting, row.guidance());
        Stage.Windows windows =
                new Stage.Windows(
                        first,
                        steps,
                        whole
                                ? WindowAxis.whole(height)
                                : axis(height, canvas.nativeHeight(), row, options),
                        whole
                                ? WindowAxis.whole(width)
                                : axis(width, canvas.nativeWidth(), row, options),
                        options.weight() == null ? WINDOWS.weight() : options.weight(),
                        options.conditioning() == null
                                ? WINDOWS.conditioning()
                                : options.conditioning(),
                        Guidance.always(scale),
                        null,
                        1,
                        "relay" + number);
        boolean fresh = before == null && !given(setting);
        int fromHeight = before == null ? canvas.y().patch() : before.y().canvas();
        int fromWidth = before == null ? canvas.x().patch() : before.x().canvas();
        return new Stage.Leg(
                number,
                row,
                windows,
                fresh ? null : refresh(setting, row, fromHeight, fromWidth, height),
                told(setting, row.told(), height, width),
                fresh ? null : lowBand(setting, row, scale, fromHeight, fromWidth, steps));
    }

    /** Without guidance in the request no stage has any. */
    private static double guidance(Setting setting, double factor) {
        double scale = setting.guidanceScale();
        return scale == 1 ? 1 : Stage.guidanceScale(factor * scale);
    }

    private static WindowAxis axis(
            int canvas, int nativeSize, RelayStage row, WindowOptions options) {
        int stride =
                options.stride().orElse(Math.max(1, (int) Math.round(row.windows() * nativeSize)));
        int jitter = options.jitter().orElse(Math.max(0, (nativeSize - stride) / 4));
        return WindowAxis.of(canvas, nativeSize, stride, jitter);
    }

    /** Latent cells of a stage along an axis: a multiple of the UNet's, at most those of the picture. */
    private static int cells(Setting setting, int patch, int canvas, RelayStage row) {
        if (row.scale() == RelayStage.FULL) {
            return canvas;
        }
        int multiple = setting.manifest().latent().unetMultiple();
        int cells = Math.ceilDiv((int) Math.ceil(patch * row.scale() - 1e-9), multiple) * multiple;
        return Math.min(canvas, cells);
    }

    private static Size told(Setting setting, RelayStage.Told told, int height, int width) {
        var canvas = setting.canvas();
        int factor = canvas.y().factor();
        return switch (told) {
            case STAGE -> new Size(width * factor, height * factor);
            case NATIVE -> new Size(canvas.x().patch() * factor, canvas.y().patch() * factor);
            case PICTURE -> new Size(canvas.widthPixels(), canvas.heightPixels());
        };
    }

    private static Stage.Refresh refresh(
            Setting setting, RelayStage row, int fromHeight, int fromWidth, int height) {
        Manifest manifest = setting.manifest();
        if (row.enlarge() != RelayStage.Enlarge.LATENT) {
            Encoders.require(
                    manifest,
                    "which a relay needs between its stages",
                    "enlarge latents (--enlarge latent)");
        }
        if (row.enlarge() == RelayStage.Enlarge.LATENT && given(setting)) {
            throw new BadRequestException(
                    "a given picture has no latents to enlarge: leave out --enlarge latent, or"
                            + " --image");
        }
        if (row.enlarge() == RelayStage.Enlarge.UPSCALER && manifest.upscalers().isEmpty()) {
            throw new BadRequestException(
                    "the bundle \""
                            + manifest.name()
                            + "\" has no upscalers in its manifest: add one with"
                            + " asg4j-export upscaler WEIGHTS --into BUNDLE, or use --enlarge"
                            + " bicubic");
        }
        int factor = setting.canvas().y().factor();
        int growth = Math.ceilDiv(height, fromHeight);
        Upscaling upscaling =
                row.enlarge() == RelayStage.Enlarge.UPSCALER && growth > 1
                        ? Upscaling.of(
                                fromHeight * factor,
                                fromWidth * factor,
                                growth,
                                manifest.upscalers())
                        : null;
        return new Stage.Refresh(fromHeight, fromWidth, row.enlarge(), upscaling, row.sharpen());
    }

    private static Stage.@Nullable LowBand lowBand(
            Setting setting, RelayStage row, double scale, int height, int width, int steps) {
        int held = (int) Math.floor(row.hold() * steps + 0.5);
        double low = guidance(setting, row.lowGuidance().orElse(row.guidance()));
        return held == 0 && low == scale
                ? null
                : new Stage.LowBand(row.lowPass(), height, width, low, held);
    }

    /** All stages have the picture's aspect. */
    @Override
    public GuideOptions.PatchAspect aspect(GenerationRequest request) {
        return GuideOptions.PatchAspect.PICTURE;
    }

    @Override
    public boolean enlargesPicture() {
        return true;
    }

    /** As the paper of its preset, whether or not the papers' defaults are asked for. */
    @Override
    public Sampling sampling(GenerationRequest request) {
        LegOptions.Preset preset = request.legs().preset();
        return preset == null ? Sampling.AS_BUNDLE : RelayPresets.sampling(preset);
    }
}
