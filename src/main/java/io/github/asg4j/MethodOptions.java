// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The method that draws, with what is asked of it. Each method has a record of its own, so that an
 * option of another method does not compile. What is left open is the method's default for the
 * picture's size.
 */
public sealed interface MethodOptions {
    /** The default options of every method, by the methods' names. */
    Map<String, MethodOptions> DEFAULTS = defaults();

    /** Name of the method, as in {@link Engine#methods()}. */
    String method();

    /** Methods with a stage 1 of native-size patches. */
    sealed interface Patched extends MethodOptions permits AsgOptions, CutDiffusionOptions {
        GuideOptions guide();

        Patched withGuide(GuideOptions options);
    }

    /** Methods that average overlapping windows. */
    sealed interface Windowed extends MethodOptions
            permits AsgOptions,
                    CutDiffusionOptions,
                    MultiDiffusionOptions,
                    DemoFusionOptions,
                    RelayOptions {
        WindowOptions windows();

        Windowed withWindows(WindowOptions options);
    }

    /** ASGDiffusion (arXiv 2412.06163): stage 1 guided by the key patch, then overlapping windows. */
    record AsgOptions(GuideOptions guide, WindowOptions windows) implements Patched, Windowed {
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
            implements Patched, Windowed {
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
    record DirectOptions() implements MethodOptions {
        public static final DirectOptions DEFAULT = new DirectOptions();

        @Override
        public String method() {
            return "direct";
        }
    }

    /** MultiDiffusion (arXiv 2302.08113): overlapping windows in all steps. */
    record MultiDiffusionOptions(WindowOptions windows) implements Windowed {
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
    record DemoFusionOptions(PhaseOptions phases, WindowOptions windows) implements Windowed {
        public static final DemoFusionOptions DEFAULT =
                new DemoFusionOptions(PhaseOptions.DEFAULT, WindowOptions.DEFAULT);

        @Override
        public String method() {
            return "demofusion";
        }

        public DemoFusionOptions withPhases(PhaseOptions options) {
            return new DemoFusionOptions(options, windows);
        }

        @Override
        public DemoFusionOptions withWindows(WindowOptions options) {
            return new DemoFusionOptions(phases, options);
        }
    }

    /** A relay: native size first, then stages of growing size that each begin at a middle noise level. */
    record RelayOptions(LegOptions legs, WindowOptions windows) implements Windowed {
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

        public RelayOptions withLegs(LegOptions options) {
            return new RelayOptions(options, windows);
        }

        @Override
        public RelayOptions withWindows(WindowOptions options) {
            return new RelayOptions(legs, options);
        }
    }

    /** ScaleCrafter (arXiv 2310.07702): direct inference with dilated convolutions. */
    record ScaleCrafterOptions(DilationOptions dilation) implements MethodOptions {
        public static final ScaleCrafterOptions DEFAULT =
                new ScaleCrafterOptions(DilationOptions.DEFAULT);

        @Override
        public String method() {
            return "scalecrafter";
        }

        public ScaleCrafterOptions withDilation(DilationOptions options) {
            return new ScaleCrafterOptions(options);
        }
    }

    /** Super-resolution of a picture of native size, which has no options. */
    record SuperResOptions() implements MethodOptions {
        public static final SuperResOptions DEFAULT = new SuperResOptions();

        @Override
        public String method() {
            return "superres";
        }
    }

    /**
     * The default options of the method called {@code name}.
     *
     * @throws BadRequestException if there is no such method
     */
    static MethodOptions of(String name) {
        MethodOptions options = DEFAULTS.get(name);
        if (options == null) {
            throw new BadRequestException(
                    "unknown method \""
                            + name
                            + "\": there are "
                            + String.join(", ", DEFAULTS.keySet()));
        }
        return options;
    }

    private static Map<String, MethodOptions> defaults() {
        Map<String, MethodOptions> all = new LinkedHashMap<>();
        for (MethodOptions options :
                new MethodOptions[] {
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
