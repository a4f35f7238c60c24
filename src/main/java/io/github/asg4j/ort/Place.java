// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import org.jspecify.annotations.Nullable;

/**
 * Where a network runs, and with how many threads of the CPU. Networks of equal places can share
 * their session.
 *
 * @param threads of each run, at least 1
 * @param provider null: the CPU
 */
public record Place(int threads, @Nullable Provider provider) {
    public static Place cpu(int threads) {
        return new Place(threads, null);
    }

    /** Whether tensors lie in a memory other than the host's. */
    public boolean onGpu() {
        return provider != null && !provider.compiles();
    }

    public static Place on(Provider provider) {
        return new Place(1, provider);
    }
}
