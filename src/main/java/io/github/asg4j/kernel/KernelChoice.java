// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.ffi.CpuLibrary;

import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;

/**
 * Which CPU kernels serve, and why.
 *
 * @param reason one line for logs and {@code doctor}
 */
public record KernelChoice(Kernels kernels, String reason) {
    private static final System.Logger LOG = System.getLogger(KernelChoice.class.getName());

    /**
     * Chooses once for an engine and logs the choice.
     *
     * @param name "auto", "java", "scalar", "avx2" or "avx512"; auto takes the last of these that
     *     this machine can run
     * @throws BadRequestException for another name
     * @throws DeviceException if what was asked for cannot run here; only auto falls back
     */
    public static KernelChoice choose(String name) {
        KernelChoice choice =
                switch (name) {
                    case "auto" -> best();
                    case "java" -> new KernelChoice(new JavaKernels(), "java: asked for");
                    default -> forced(name);
                };
        boolean fault = name.equals("auto") && !CpuLibrary.available() && CpuLibrary.built();
        LOG.log(fault ? Level.WARNING : Level.INFO, "kernels: {0}", choice.reason);
        return choice;
    }

    /** Names that {@link #choose} accepts on this machine, without "auto". */
    public static List<String> usable() {
        List<String> names = new ArrayList<>(List.of("java"));
        for (int tier = 0; tier < NativeKernels.TIERS.size(); tier++) {
            if (CpuLibrary.available() && CpuLibrary.tierSupported(tier) == 1) {
                names.add(NativeKernels.TIERS.get(tier));
            }
        }
        return List.copyOf(names);
    }

    private static KernelChoice best() {
        if (!CpuLibrary.available()) {
            return new KernelChoice(
                    new JavaKernels(),
                    "java: no native kernels here, slower but the same bits: "
                            + CpuLibrary.failure());
        }
        List<String> names = usable();
        String best = names.getLast();
        return new KernelChoice(
                new NativeKernels(NativeKernels.TIERS.indexOf(best)),
                best
                        + ": best of "
                        + String.join(", ", names)
                        + " on this CPU; library from "
                        + CpuLibrary.origin());
    }

    private static KernelChoice forced(String name) {
        int tier = NativeKernels.TIERS.indexOf(name);
        if (tier < 0) {
            throw new BadRequestException(
                    "kernels \""
                            + name
                            + "\" are unknown: one of auto, java, "
                            + String.join(", ", NativeKernels.TIERS));
        }
        if (!CpuLibrary.available()) {
            throw unusable(name, CpuLibrary.failure());
        }
        int supported = CpuLibrary.tierSupported(tier);
        if (supported != 1) {
            throw unusable(
                    name,
                    supported == 0
                            ? "this CPU lacks the instructions"
                            : "the CPU has the instructions, but the operating system or virtual"
                                    + " machine does not enable their registers");
        }
        return new KernelChoice(new NativeKernels(tier), name + ": asked for");
    }

    private static DeviceException unusable(String name, String why) {
        return new DeviceException(
                "kernels "
                        + name
                        + " cannot run here: "
                        + why
                        + "; use auto or one of "
                        + String.join(", ", usable()));
    }
}
