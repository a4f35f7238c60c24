// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.plan;

import java.util.Locale;

/**
 * How networks are computed.
 *
 * @param precision of the denoiser: "fp32", "fp16" or "bf16"
 * @param provider what computes the denoiser, with its version
 * @param compiles whether the denoiser is compiled for every shape of its calls, and the VAE
 * @param stored type of the weights as they are stored, as in "fp16"
 * @param holding where the weights are read
 */
public record Arithmetic(
        String precision, String provider, boolean compiles, String stored, Holding holding) {
    /** Bytes that a compiled network takes for each weight: OpenVINO has fp32 beside bf16. */
    private static final double COMPILED = 6.5;

    /** Beside these, while it is compiled. */
    private static final double COMPILING = 4;

    /** Where networks read their weights. */
    public enum Holding {
        /** Copies in float32 in ONNX Runtime's own layouts; on the CPU. */
        PACKED,
        /** The files that they lie in; on the CPU. */
        MAPPED,
        /** The device's memory, as they are stored. */
        DEVICE;

        /** Name of the option's value, and in reports. */
        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Bytes of host memory that networks take whose weights are stored in {@code bytes}. */
    public long heldBytes(long bytes) {
        return holding == Holding.PACKED ? packedBytes(stored, bytes) : bytes;
    }

    /**
     * Bytes that packed weights take: five a weight, a little more than float32, as was measured
     * (benchmarks/NOTES.md).
     *
     * @param stored type of the weights
     * @param bytes that are stored
     */
    public static long packedBytes(String stored, long bytes) {
        return weights(stored, bytes) * 5;
    }

    private static long weights(String stored, long bytes) {
        return stored.equals("fp32") ? bytes / 4 : stored.equals("fp8") ? bytes : bytes / 2;
    }

    /**
     * Bytes that a network takes beside the stored one where it is compiled, as they were measured
     * (benchmarks/NOTES.md). It is less where it is kept on disk: then the weights in fp32 stay mapped.
     *
     * @param stored type of the weights
     * @param bytes of the network with its weights
     * @param shapes how often it is compiled, one after the other
     */
    public static long compiledBytes(String stored, long bytes, int shapes) {
        return shapes == 0 ? 0 : (long) (weights(stored, bytes) * (COMPILED * shapes + COMPILING));
    }
}
