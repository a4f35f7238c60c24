// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PromptFolders;
import io.github.asg4j.RequestOption;
import io.github.asg4j.RequestOptions;

import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.util.unit.DataSize;

import java.nio.file.Path;
import java.util.Map;

/**
 * Properties of the engine and of the image models that draw with it.
 *
 * @param model folder of a model bundle, a publisher's .safetensors file, or a diffusers folder; without
 *     it the demo bundle, where that is on the class path
 * @param vae a .safetensors file with the autoencoder that decodes in the place of the model's
 * @param loraFolder folder of the LoRA files that prompts name
 * @param embeddingFolder folder of the textual inversions that prompts name
 * @param devices "auto", "cpu:N" (N workers), or "cuda:0,cuda:1"
 * @param threadsPerWorker threads of one UNet call; without it chosen with the devices
 * @param kernels "auto", "java", "scalar", "avx2" or "avx512"
 * @param precision of denoiser and VAE on CPUs: "fp32", "bf16" or "auto"
 * @param weights of the networks on CPUs: "packed", "mapped" or "auto"
 * @param maxMemory refuse pictures that need more; without it what the machine has
 * @param queue pictures that may wait, besides the one being drawn
 * @param whenFull what happens where more are asked for: "reject", or "wait" for a place
 * @param open whether the model is loaded for the first picture ("lazy") or when the application starts
 *     ("eager")
 * @param image options of every picture that an image model draws, by their names on the command line,
 *     as in asg4j.image.method=relay
 */
@ConfigurationProperties("asg4j")
public record AsgProperties(
        @Nullable Path model,
        @Nullable Path vae,
        @Nullable Path loraFolder,
        @Nullable Path embeddingFolder,
        @DefaultValue("auto") String devices,
        @Nullable Integer threadsPerWorker,
        @DefaultValue("auto") String kernels,
        @DefaultValue("auto") String precision,
        @DefaultValue("auto") String weights,
        @Nullable DataSize maxMemory,
        @DefaultValue("16") int queue,
        @DefaultValue("reject") EngineOptions.WhenFull whenFull,
        @DefaultValue("lazy") Open open,
        @DefaultValue Map<String, String> image) {

    /** When the model is loaded. */
    public enum Open {
        LAZY,
        EAGER
    }

    public AsgProperties {
        image = Map.copyOf(image);
        // what is wrong is said at the start
        settings(GenerationRequest.builder("a picture"), image).build();
    }

    EngineOptions engineOptions() {
        EngineOptions options =
                EngineOptions.DEFAULT
                        .withModel(model)
                        .withVae(vae)
                        .withFolders(new PromptFolders(loraFolder, embeddingFolder))
                        .withDevices(devices)
                        .withKernels(kernels)
                        .withPrecision(precision)
                        .withWeights(weights)
                        .withMaxMemoryBytes(maxMemory == null ? 0 : maxMemory.toBytes())
                        .withQueue(queue, whenFull);
        return threadsPerWorker == null ? options : options.withThreadsPerWorker(threadsPerWorker);
    }

    /** Gives a request the options of {@code asg4j.image}. */
    GenerationRequest.Builder settings(GenerationRequest.Builder request) {
        return settings(request, image);
    }

    private static GenerationRequest.Builder settings(
            GenerationRequest.Builder request, Map<String, String> texts) {
        for (String name : texts.keySet()) {
            if (RequestOptions.ALL.stream().noneMatch(option -> option.name().equals(name))) {
                throw new BadRequestException(
                        "asg4j.image." + name + ": pictures have no such option");
            }
        }
        // in the order of the table: the method, whose options the others are, comes first
        for (RequestOption<?> option : RequestOptions.ALL) {
            String text = texts.get(option.name());
            if (text != null) {
                try {
                    option.parse(request, text);
                } catch (BadRequestException e) {
                    throw new BadRequestException(
                            "asg4j.image." + option.name() + ": " + e.getMessage(), e);
                }
            }
        }
        return request;
    }
}
