// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

/**
 * How the denoiser is computed.
 *
 * @param precision "fp32", "fp16" or "bf16"
 * @param provider what computes it, with its version
 * @param compiles whether it is compiled for every shape of its calls
 */
public record Arithmetic(String precision, String provider, boolean compiles) {}
