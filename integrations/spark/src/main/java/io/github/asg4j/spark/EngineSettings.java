// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.EngineOptions;

import org.apache.spark.resource.ResourceInformation;
import org.jspecify.annotations.Nullable;

import java.io.Serializable;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * How executors open their engine.
 *
 * @param model a file or folder on every executor; null: the demo model
 * @param vae likewise; null: the model's
 * @param devices as on the command line; null: the task's GPUs, else the executor's cores
 * @param threadsPerWorker of one call of a network; part of what determines the bytes
 * @param precision as on the command line
 * @param weights likewise
 */
record EngineSettings(
        @Nullable String model,
        @Nullable String vae,
        @Nullable String devices,
        int threadsPerWorker,
        String precision,
        String weights)
        implements Serializable {
    private static final long serialVersionUID = 1L;

    /** Requests that may wait: those of all tasks of an executor. */
    private static final int WAITING = 1000;

    private static final String GPU = "gpu";

    /** Names of these options, as on the command line without the hyphens. */
    static final List<String> NAMES =
            List.of("model", "vae", "devices", "threads-per-worker", "precision", "weights");

    /**
     * @param options by these names; others do not count
     * @throws BadRequestException if a value is none
     */
    static EngineSettings of(Map<String, String> options) {
        String threads = options.getOrDefault("threads-per-worker", "1");
        EngineSettings settings;
        try {
            settings =
                    new EngineSettings(
                            options.get("model"),
                            options.get("vae"),
                            options.get("devices"),
                            Integer.parseInt(threads),
                            options.getOrDefault("precision", "auto"),
                            options.getOrDefault("weights", "auto"));
        } catch (NumberFormatException e) {
            throw new BadRequestException(
                    "threads-per-worker is '" + threads + "', no whole number, as in 1", e);
        }
        settings.options("auto"); // checks ranges
        return settings;
    }

    /**
     * Options of an executor's engine.
     *
     * @param resources of the task
     * @param cores of the executor
     */
    EngineOptions options(Map<String, ResourceInformation> resources, int cores) {
        if (devices != null) {
            return options(devices);
        }
        ResourceInformation gpus = resources.get(GPU);
        return options(
                gpus == null || gpus.addresses().length == 0
                        ? "cpu:" + cores
                        : Arrays.stream(gpus.addresses())
                                .map(address -> "cuda:" + address)
                                .collect(Collectors.joining(",")));
    }

    private EngineOptions options(String names) {
        return EngineOptions.DEFAULT
                .withModel(model == null ? null : Path.of(model))
                .withVae(vae == null ? null : Path.of(vae))
                .withDevices(names)
                .withThreadsPerWorker(threadsPerWorker)
                .withPrecision(precision)
                .withWeights(weights)
                .withQueue(WAITING, EngineOptions.WhenFull.WAIT);
    }
}
