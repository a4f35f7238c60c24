// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

/**
 * How the denoiser is computed.
 *
 * @param precision "fp32", "fp16" or "bf16"
 * @param provider what computes it, with its version
 * @param compiles whether it is compiled for every shape of its calls
 */
public record Arithmetic(String precision, String provider, boolean compiles) {
    /**
     * Bytes that a compiled network takes beside the stored one: eight a weight, as they were measured
     * (benchmarks/NOTES.md). OpenVINO keeps the weights in fp32 beside those in bf16.
     *
     * @param stored precision of the weights, "fp32" or "fp16"
     * @param bytes of the network with its weights
     */
    public static long compiledBytes(String stored, long bytes) {
        return (stored.equals("fp16") ? 4 : 2) * bytes;
    }
}
