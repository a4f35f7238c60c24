// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.plan.Arithmetic;
import io.github.asg4j.plan.Arithmetic.Holding;

import java.lang.System.Logger.Level;

/**
 * Where networks read their weights, and why.
 *
 * @param reason one line for logs and {@code doctor}
 */
record WeightsChoice(Holding holding, String reason) {
    private static final System.Logger LOG = System.getLogger(WeightsChoice.class.getName());

    /**
     * Chooses once for an engine and logs the choice.
     *
     * @param name "auto", "packed" or "mapped"
     * @param onGpus whether the networks run there
     * @param stored type of the weights as they are stored, as in "fp16"
     * @param bytes of the weights as they are stored, without a denoiser that is compiled
     * @param memoryLimit bytes that a request may take
     * @throws BadRequestException for another name, or on GPUs for any but "auto"
     */
    static WeightsChoice choose(
            String name, boolean onGpus, String stored, long bytes, long memoryLimit) {
        WeightsChoice choice =
                onGpus
                        ? onGpus(name)
                        : onCpu(name, Arithmetic.packedBytes(stored, bytes), memoryLimit);
        LOG.log(Level.INFO, "weights: {0}", choice.reason);
        return choice;
    }

    private static WeightsChoice onGpus(String name) {
        if (!name.equals("auto")) {
            throw new BadRequestException(
                    "weights \""
                            + name
                            + "\" is for CPUs: GPUs have them in their own memory as they are"
                            + " stored; leave --weights out");
        }
        return new WeightsChoice(Holding.DEVICE, "in the device's memory, as they are stored");
    }

    private static WeightsChoice onCpu(String name, long packed, long memoryLimit) {
        return switch (name) {
            case "packed" -> new WeightsChoice(Holding.PACKED, "packed: asked for");
            case "mapped" -> new WeightsChoice(Holding.MAPPED, "mapped: asked for");
            case "auto" -> auto(packed, memoryLimit);
            default ->
                    throw new BadRequestException(
                            "weights \"" + name + "\" is unknown: one of auto, packed, mapped");
        };
    }

    private static WeightsChoice auto(long packed, long memoryLimit) {
        String sizes =
                (packed >> 20)
                        + " MiB in copies, half of memory is "
                        + (memoryLimit >> 21)
                        + " MiB";
        return packed <= memoryLimit / 2
                ? new WeightsChoice(Holding.PACKED, "packed: " + sizes)
                : new WeightsChoice(Holding.MAPPED, "mapped: " + sizes);
    }
}
