// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.EngineOptions;
import io.github.asg4j.PromptFolders;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.nio.file.Path;
import java.util.List;

/** What becomes {@link EngineOptions}. */
final class EngineArgs {
    static final List<String> PRECISIONS = List.of("auto", "fp32", "bf16");
    private static final List<String> WEIGHTS = List.of("auto", "packed", "mapped");
    static final List<String> KERNELS = List.of("auto", "java", "scalar", "avx2", "avx512");

    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init") // set by picocli
    private CommandSpec command;

    @Mixin private Options given = new Options();

    /** Null: not given. */
    static final class Options {
        @Option(
                names = "--model",
                paramLabel = "MODEL",
                order = HelpSections.MACHINE + 1,
                description =
                        "a publisher's .safetensors file, a diffusers folder, or the folder of a"
                                + " bundle; demo-turbo: the demo distilled to 4 steps"
                                + " (default: the demo in the jar)")
        @Nullable Path model;

        @Mixin private PartsArgs parts = new PartsArgs();

        @Option(
                names = "--lora-folder",
                paramLabel = "DIR",
                order = HelpSections.MACHINE + 1,
                description =
                        "folder of the LoRA files that prompts name, as in <lora:style:0.8>, with"
                                + " --prompt-syntax a1111")
        @Nullable Path loraFolder;

        @Option(
                names = "--embedding-folder",
                paramLabel = "DIR",
                order = HelpSections.MACHINE + 1,
                description =
                        "folder of textual inversions, which are words of prompts by their files'"
                                + " names, with --prompt-syntax a1111")
        @Nullable Path embeddingFolder;

        @Option(
                names = "--control-folder",
                paramLabel = "DIR",
                order = HelpSections.MACHINE + 1,
                description =
                        "folder of the control networks that --control names, each in a folder of"
                                + " its name (default: controlnets in the bundle)")
        @Nullable Path controlFolder;

        @Option(
                names = "--devices",
                paramLabel = "LIST",
                order = HelpSections.MACHINE + 2,
                description =
                        "auto, cpu:N for N workers, or cuda:0,cuda:1 (default: ${DEFAULT-VALUE})")
        @Nullable String devices;

        @Option(
                names = "--threads-per-worker",
                paramLabel = "N",
                order = HelpSections.MACHINE + 3,
                description =
                        "threads of one UNet call; may change the last bits of the picture"
                                + " (default: chosen with the devices)")
        @Nullable Integer threadsPerWorker;

        @Option(
                names = "--kernels",
                paramLabel = "auto|java|scalar|avx2|avx512",
                order = HelpSections.MACHINE + 4,
                description =
                        "implementation of our kernels; same bytes for each"
                                + " (default: ${DEFAULT-VALUE})")
        @Nullable String kernels;

        @Option(
                names = "--precision",
                paramLabel = "auto|fp32|bf16",
                order = HelpSections.MACHINE + 5,
                description =
                        "of denoiser and VAE on CPUs: fp32, or bf16 by OpenVINO's plug-in, faster"
                                + " and with other bytes; auto: bf16 for large models where CPU and"
                                + " plug-in are there (default: ${DEFAULT-VALUE})")
        @Nullable String precision;

        @Option(
                names = "--weights",
                paramLabel = "auto|packed|mapped",
                order = HelpSections.MACHINE + 6,
                description =
                        "of the networks on CPUs: packed: copies, laid out for speed; mapped: read"
                            + " where they lie in their files, least memory; may change the last"
                            + " bits of the picture; auto: packed, where that takes at most half of"
                            + " --max-memory (default: ${DEFAULT-VALUE})")
        @Nullable String weights;

        @Option(
                names = "--max-memory",
                paramLabel = "BYTES",
                order = HelpSections.MACHINE + 7,
                description =
                        "refuse work that needs more, as in 8G (default: what the machine has)")
        @Nullable String maxMemory;
    }

    /**
     * The options of the engine, with what a picture to draw again was drawn with where none is given;
     * throws ParameterException or BadRequestException.
     *
     * @param like null: there is no such picture
     */
    EngineOptions options(@Nullable Likeness like) {
        EngineOptions options = options();
        return like == null
                ? options
                : like.engine(
                        options,
                        name -> command.commandLine().getParseResult().hasMatchedOption(name));
    }

    /** The options of the engine; throws ParameterException or BadRequestException. */
    EngineOptions options() {
        EngineOptions options =
                EngineOptions.DEFAULT
                        .withModel(given.model)
                        .withVae(given.parts.vae)
                        .withTextEncoders(given.parts.textEncoders)
                        .withFolders(new PromptFolders(given.loraFolder, given.embeddingFolder))
                        .withControls(given.controlFolder);
        if (given.devices != null) {
            options = options.withDevices(given.devices);
        }
        if (given.threadsPerWorker != null) {
            options = options.withThreadsPerWorker(given.threadsPerWorker);
        }
        if (given.kernels != null) {
            options =
                    options.withKernels(
                            Values.choice(command, "--kernels", given.kernels, KERNELS));
        }
        if (given.precision != null) {
            options =
                    options.withPrecision(
                            Values.choice(command, "--precision", given.precision, PRECISIONS));
        }
        if (given.weights != null) {
            options =
                    options.withWeights(
                            Values.choice(command, "--weights", given.weights, WEIGHTS));
        }
        if (given.maxMemory != null) {
            options =
                    options.withMaxMemoryBytes(
                            Values.bytes(command, "--max-memory", given.maxMemory));
        }
        return options;
    }
}
