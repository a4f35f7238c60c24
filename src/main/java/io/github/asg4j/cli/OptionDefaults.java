// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.EngineOptions;
import io.github.asg4j.server.ServerOptions;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;

/** Takes the defaults of the engine's options from where they are decided. */
final class OptionDefaults implements IDefaultValueProvider {
    @Override
    public @Nullable String defaultValue(ArgSpec argument) {
        return argument instanceof OptionSpec option ? of(option.longestName()) : null;
    }

    private static @Nullable String of(String option) {
        return switch (option) {
            case "--devices" -> EngineOptions.DEFAULT.devices();
            case "--kernels" -> EngineOptions.DEFAULT.kernels();
            case "--precision" -> EngineOptions.DEFAULT.precision();
            case "--weights" -> EngineOptions.DEFAULT.weights();
            case "--host" -> ServerOptions.DEFAULT.host();
            case "--port" -> Integer.toString(ServerOptions.DEFAULT.port());
            case "--queue" -> Integer.toString(ServerOptions.DEFAULT.queueCapacity());
            default -> null;
        };
    }
}
