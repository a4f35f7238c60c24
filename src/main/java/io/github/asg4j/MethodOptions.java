// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The method that draws, with what is asked of it. Each method has a record of its own, so that an
 * option of another method does not compile; where the choice is left to the model it is {@link
 * UsualOptions}. What is left open is the method's default for the picture's size.
 */
public sealed interface MethodOptions {
    /** The default options of every method, by the methods' names. */
    Map<String, Named> DEFAULTS = defaults();

    /** A method that was chosen. */
    sealed interface Named extends MethodOptions
            permits AsgOptions,
                    CutDiffusionOptions,
                    DirectOptions,
                    MultiDiffusionOptions,
                    DemoFusionOptions,
                    RelayOptions,
                    ScaleCrafterOptions,
                    SuperResOptions {
        /** Its name, as in {@link Engine#methods()}. */
        String method();
    }

    /** Methods with a stage 1 of native-size patches. */
    sealed interface Patched extends MethodOptions
            permits AsgOptions, CutDiffusionOptions, UsualOptions {
        GuideOptions guide();

        Patched withGuide(GuideOptions options);
    }

    /** Methods that average overlapping windows. */
    sealed interface Windowed extends MethodOptions
            permits AsgOptions,
                    CutDiffusionOptions,
                    MultiDiffusionOptions,
                    DemoFusionOptions,
                    RelayOptions,
                    UsualOptions {
        WindowOptions windows();

        Windowed withWindows(WindowOptions options);
    }

    /** Methods that draw in phases of growing size. */
    sealed interface Phased extends MethodOptions permits DemoFusionOptions, UsualOptions {
        PhaseOptions phases();

        Phased withPhases(PhaseOptions options);
    }

    /** Methods that draw by a relay's table. */
    sealed interface Relayed extends MethodOptions permits RelayOptions, UsualOptions {
        LegOptions legs();

        Relayed withLegs(LegOptions options);
    }

    /** Methods that dilate convolutions. */
    sealed interface Dilating extends MethodOptions permits ScaleCrafterOptions, UsualOptions {
        DilationOptions dilation();

        Dilating withDilation(DilationOptions options);
    }

    /** ASGDiffusion (arXiv 2412.06163): stage 1 guided by the key patch, then overlapping windows. */
    record AsgOptions(GuideOptions guide, WindowOptions windows)
            implements Named, Patched, Windowed {
        public static final AsgOptions DEFAULT =
                new AsgOptions(GuideOptions.DEFAULT, WindowOptions.DEFAULT);

        @Override
        public String method() {
            return "asg";
        }

        @Override
        public AsgOptions withGuide(GuideOptions options) {
            return new AsgOptions(options, windows);
        }

        @Override
        public AsgOptions withWindows(WindowOptions options) {
            return new AsgOptions(guide, options);
        }
    }

    /**
     * CutDiffusion (arXiv 2404.15141): the two stages of ASGDiffusion with a guide weight of 0
     * unless another is asked for.
     */
    record CutDiffusionOptions(GuideOptions guide, WindowOptions windows)
            implements Named, Patched, Windowed {
        public static final CutDiffusionOptions DEFAULT =
                new CutDiffusionOptions(GuideOptions.DEFAULT, WindowOptions.DEFAULT);

        @Override
        public String method() {
            return "cutdiffusion";
        }

        @Override
        public CutDiffusionOptions withGuide(GuideOptions options) {
            return new CutDiffusionOptions(options, windows);
        }

        @Override
        public CutDiffusionOptions withWindows(WindowOptions options) {
            return new CutDiffusionOptions(guide, options);
        }
    }

    /** Direct inference, which has no options. */
    record DirectOptions() implements Named {
        public static final DirectOptions DEFAULT = new DirectOptions();

        @Override
        public String method() {
            return "direct";
        }
    }

    /** MultiDiffusion (arXiv 2302.08113): overlapping windows in all steps. */
    record MultiDiffusionOptions(WindowOptions windows) implements Named, Windowed {
        public static final MultiDiffusionOptions DEFAULT =
                new MultiDiffusionOptions(WindowOptions.DEFAULT);

        @Override
        public String method() {
            return "multidiffusion";
        }

        @Override
        public MultiDiffusionOptions withWindows(WindowOptions options) {
            return new MultiDiffusionOptions(options);
        }
    }

    /** DemoFusion (arXiv 2311.16973): phases of growing size, each with overlapping windows. */
    record DemoFusionOptions(PhaseOptions phases, WindowOptions windows)
            implements Named, Phased, Windowed {
        public static final DemoFusionOptions DEFAULT =
                new DemoFusionOptions(PhaseOptions.DEFAULT, WindowOptions.DEFAULT);

        @Override
        public String method() {
            return "demofusion";
        }

        @Override
        public DemoFusionOptions withPhases(PhaseOptions options) {
            return new DemoFusionOptions(options, windows);
        }

        @Override
        public DemoFusionOptions withWindows(WindowOptions options) {
            return new DemoFusionOptions(phases, options);
        }
    }

    /** A relay: native size first, then stages of growing size that each begin at a middle noise level. */
    record RelayOptions(LegOptions legs, WindowOptions windows)
            implements Named, Relayed, Windowed {
        public static final RelayOptions DEFAULT =
                new RelayOptions(LegOptions.DEFAULT, WindowOptions.DEFAULT);

        public RelayOptions {
            if (windows.guidanceScale().isPresent()
                    || windows.objectShare().isPresent()
                    || windows.backgroundGuidanceScale().isPresent()
                    || windows.backgroundPrompt() != null) {
                throw new BadRequestException(
                        "the windows of a relay have no guidance scale and no background of their"
                                + " own: write guidance=6 into a stage of its table");
            }
        }

        @Override
        public String method() {
            return "relay";
        }

        @Override
        public RelayOptions withLegs(LegOptions options) {
            return new RelayOptions(options, windows);
        }

        @Override
        public RelayOptions withWindows(WindowOptions options) {
            return new RelayOptions(legs, options);
        }
    }

    /** ScaleCrafter (arXiv 2310.07702): direct inference with dilated convolutions. */
    record ScaleCrafterOptions(DilationOptions dilation) implements Named, Dilating {
        public static final ScaleCrafterOptions DEFAULT =
                new ScaleCrafterOptions(DilationOptions.DEFAULT);

        @Override
        public String method() {
            return "scalecrafter";
        }

        @Override
        public ScaleCrafterOptions withDilation(DilationOptions options) {
            return new ScaleCrafterOptions(options);
        }
    }

    /** Super-resolution of a picture of native size, which has no options. */
    record SuperResOptions() implements Named {
        public static final SuperResOptions DEFAULT = new SuperResOptions();

        @Override
        public String method() {
            return "superres";
        }
    }

    /**
     * The method that the model draws by where none is named ({@link UsualMethod}), which is known once
     * there is a model, with what is asked of it.
     */
    record UsualOptions(
            GuideOptions guide,
            WindowOptions windows,
            PhaseOptions phases,
            LegOptions legs,
            DilationOptions dilation)
            implements Patched, Windowed, Phased, Relayed, Dilating {
        public static final UsualOptions DEFAULT =
                new UsualOptions(
                        GuideOptions.DEFAULT,
                        WindowOptions.DEFAULT,
                        PhaseOptions.DEFAULT,
                        LegOptions.DEFAULT,
                        DilationOptions.DEFAULT);

        @Override
        public UsualOptions withGuide(GuideOptions options) {
            return new UsualOptions(options, windows, phases, legs, dilation);
        }

        @Override
        public UsualOptions withWindows(WindowOptions options) {
            return new UsualOptions(guide, options, phases, legs, dilation);
        }

        @Override
        public UsualOptions withPhases(PhaseOptions options) {
            return new UsualOptions(guide, windows, options, legs, dilation);
        }

        @Override
        public UsualOptions withLegs(LegOptions options) {
            return new UsualOptions(guide, windows, phases, options, dilation);
        }

        @Override
        public UsualOptions withDilation(DilationOptions options) {
            return new UsualOptions(guide, windows, phases, legs, options);
        }

        /** The method called {@code name} with those of these options that it has. */
        MethodOptions as(String name) {
            return switch (MethodOptions.of(name)) {
                case AsgOptions o -> new AsgOptions(guide, windows);
                case CutDiffusionOptions o -> new CutDiffusionOptions(guide, windows);
                case MultiDiffusionOptions o -> new MultiDiffusionOptions(windows);
                case DemoFusionOptions o -> new DemoFusionOptions(phases, windows);
                case RelayOptions o -> new RelayOptions(legs, windows);
                case ScaleCrafterOptions o -> new ScaleCrafterOptions(dilation);
                case DirectOptions o -> o;
                case SuperResOptions o -> o;
            };
        }
    }

    /**
     * The default options of the method called {@code name}.
     *
     * @throws BadRequestException if there is no such method
     */
    static Named of(String name) {
        Named options = DEFAULTS.get(name);
        if (options == null) {
            throw new BadRequestException(
                    "unknown method \""
                            + name
                            + "\": there are "
                            + String.join(", ", DEFAULTS.keySet()));
        }
        return options;
    }

    private static Map<String, Named> defaults() {
        Map<String, Named> all = new LinkedHashMap<>();
        for (Named options :
                new Named[] {
                    AsgOptions.DEFAULT,
                    DirectOptions.DEFAULT,
                    MultiDiffusionOptions.DEFAULT,
                    CutDiffusionOptions.DEFAULT,
                    DemoFusionOptions.DEFAULT,
                    RelayOptions.DEFAULT,
                    ScaleCrafterOptions.DEFAULT,
                    SuperResOptions.DEFAULT
                }) {
            all.put(options.method(), options);
        }
        return Collections.unmodifiableMap(all);
    }
}
