// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import org.jspecify.annotations.Nullable;

/**
 * Where a network runs, and with how many threads of the CPU. Networks of equal places can share
 * their session.
 *
 * @param threads of each run, at least 1
 * @param provider null: the CPU
 * @param mapsWeights whether the CPU reads weights that lie in files where they are; else ONNX Runtime
 *     makes copies in float32 and in layouts of its own, which is faster and takes more memory
 */
public record Place(int threads, @Nullable Provider provider, boolean mapsWeights) {
    /** The CPU, with weights in layouts of its own. */
    public static Place cpu(int threads) {
        return new Place(threads, null, false);
    }

    /** Whether tensors lie in a memory other than the host's. */
    public boolean onGpu() {
        return provider != null && !provider.compiles();
    }

    public static Place on(Provider provider) {
        return new Place(1, provider, false);
    }
}
