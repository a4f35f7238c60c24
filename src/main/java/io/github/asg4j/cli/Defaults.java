// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions;
import io.github.asg4j.OptionNames;
import io.github.asg4j.WindowOptions;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;

/** Takes the options' defaults from the value types, so that the help says what will be used. */
final class Defaults implements IDefaultValueProvider {
    private static final GuideOptions GUIDE = GuideOptions.DEFAULT;
    private static final WindowOptions WINDOWS = WindowOptions.DEFAULT;
    private static final GenerationRequest REQUEST = GenerationRequest.builder("any").build();

    @Override
    public @Nullable String defaultValue(ArgSpec argument) {
        return argument instanceof OptionSpec option ? of(option.longestName()) : null;
    }

    private static @Nullable String of(String option) {
        return switch (option) {
            case "--method" -> REQUEST.method();
            case "--eta" -> Double.toString(REQUEST.eta());
            case "--view-batch" -> "auto";
            case "--devices" -> EngineOptions.DEFAULT.devices();
            case "--kernels" -> EngineOptions.DEFAULT.kernels();
            case "--guide-weight" -> Double.toString(GUIDE.weight());
            case "--guide-schedule" -> OptionNames.of(GUIDE.schedule());
            case "--guide-space" -> OptionNames.of(GUIDE.space());
            case "--mask" -> OptionNames.of(GUIDE.mask());
            case "--mask-tokens" -> "all";
            case "--mask-norm" -> OptionNames.of(GUIDE.maskNorm());
            case "--staleness" -> Integer.toString(GUIDE.staleness());
            case "--interaction" -> Values.interaction(GUIDE.interactionSteps());
            case "--stage1-share" -> Double.toString(GUIDE.stage1Share());
            case "--patch-aspect" -> OptionNames.of(GUIDE.patchAspect());
            case "--window-weight" -> OptionNames.of(WINDOWS.weight());
            case "--window-conditioning" -> OptionNames.of(WINDOWS.conditioning());
            default -> null;
        };
    }
}
