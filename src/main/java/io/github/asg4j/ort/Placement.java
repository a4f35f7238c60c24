// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

/**
 * Where the networks of one worker run.
 *
 * @param loop those whose tensors lie on the worker's device
 * @param front those whose tensors lie in host memory
 * @param vae of these the VAE's, but for the decoder for pictures that overflow
 */
public record Placement(Place loop, Place front, Place vae) {
    /** All on the CPU. */
    public static Placement cpu(int threads) {
        return new Placement(Place.cpu(threads), Place.cpu(threads), Place.cpu(threads));
    }
}
