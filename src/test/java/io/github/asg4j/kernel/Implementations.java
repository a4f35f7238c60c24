// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.asg4j.ffi.CpuLibrary;

import java.util.List;

/**
 * The implementations that tests run on this machine. Where the native library was built it has to
 * load; only a build without the tools, or a CPU without the instructions, skips.
 */
final class Implementations {
    private Implementations() {}

    static Kernels require(String name) {
        assumeTrue(CpuLibrary.built(), "skipped: this build has no native kernels");
        assertTrue(CpuLibrary.available(), CpuLibrary::failure);
        int tier = NativeKernels.TIERS.indexOf(name);
        assumeTrue(CpuLibrary.tierSupported(tier) == 1, "skipped: this CPU does not run " + name);
        return new NativeKernels(tier);
    }

    /** All native ones. */
    static List<Kernels> natives() {
        require("scalar");
        return KernelChoice.usable().stream()
                .filter(name -> !name.equals("java"))
                .map(Implementations::require)
                .toList();
    }
}
