// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.EngineOptions;
import io.github.asg4j.OptionNames;
import io.github.asg4j.method.Defaults;
import io.github.asg4j.plan.Guide;
import io.github.asg4j.server.ServerOptions;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;

/** Takes the options' defaults from where they are decided, so that the help says what is used. */
final class OptionDefaults implements IDefaultValueProvider {
    private static final Defaults.TwoStages ASG = Defaults.asg();
    private static final Guide GUIDE = ASG.guide();
    private static final Defaults.Windows WINDOWS = ASG.windows();
    private static final Defaults.Phases PHASES = Defaults.demoFusion();

    @Override
    public @Nullable String defaultValue(ArgSpec argument) {
        return argument instanceof OptionSpec option ? of(option.longestName()) : null;
    }

    private static @Nullable String of(String option) {
        return switch (option) {
            case "--devices" -> EngineOptions.DEFAULT.devices();
            case "--kernels" -> EngineOptions.DEFAULT.kernels();
            case "--host" -> ServerOptions.DEFAULT.host();
            case "--port" -> Integer.toString(ServerOptions.DEFAULT.port());
            case "--queue" -> Integer.toString(ServerOptions.DEFAULT.queueCapacity());
            default -> null;
        };
    }

    /**
     * What its method, or asg, does where {@code option} is not given: for the help alone, since an option that
     * is not given is the method's to decide.
     */
    static String ofMethod(String option) {
        return switch (option) {
            case "--guide-weight" -> Double.toString(GUIDE.weight());
            case "--guide-schedule" -> OptionNames.of(GUIDE.schedule());
            case "--guide-space" -> OptionNames.of(GUIDE.space());
            case "--guide-upsampling" -> OptionNames.of(GUIDE.upsampling());
            case "--mask" -> OptionNames.of(GUIDE.mask());
            case "--mask-tokens" -> "all";
            case "--mask-norm" -> OptionNames.of(GUIDE.maskNorm());
            case "--staleness" -> Integer.toString(GUIDE.staleness());
            case "--interaction" -> "every";
            case "--stage1-share" -> Double.toString(ASG.stage1Share());
            case "--patch-aspect" -> "picture";
            case "--window-weight" -> OptionNames.of(WINDOWS.weight());
            case "--window-conditioning" -> OptionNames.of(WINDOWS.conditioning());
            case "--object-share" -> Double.toString(WINDOWS.objectShare());
            case "--cosine-scale-1" -> Double.toString(PHASES.skipExponent());
            case "--cosine-scale-2" -> Double.toString(PHASES.dilatedExponent());
            case "--cosine-scale-3" -> Double.toString(PHASES.blurExponent());
            case "--blur" -> Double.toString(PHASES.blur());
            default -> throw new IllegalArgumentException("no default of " + option);
        };
    }
}
