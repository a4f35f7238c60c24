// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.model.VaeDecoder;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.run.work.WorkUnits;
import io.github.asg4j.run.worker.InterruptibleRuns;
import io.github.asg4j.run.worker.NonFinite;

import java.lang.foreign.MemorySegment;
import java.util.function.IntFunction;

/** Latents decoded: whole, or in tiles. */
public abstract class DecodeRun extends VaeRun {
    public static final String NAME = "vae";

    final Job job;
    private volatile boolean overflowed;

    /**
     * What is decoded, and by whom.
     *
     * @param decoders by worker; each is asked on the worker's thread, and the first on the caller's
     * @param first worker that does what is not cut in tiles; {@link WorkUnits#NOBODY}: any
     * @param workers how many there are
     * @param atOnce units that may be carried out at the same time
     * @param latents float32 [C, h, w], scaled and shifted for the VAE
     * @param image float32 [3, h * f, w * f], about -1 to 1
     * @param kernels on host memory
     */
    public record Job(
            Decoding decoding,
            IntFunction<VaeDecoder> decoders,
            int first,
            int workers,
            int atOnce,
            MemorySegment latents,
            MemorySegment image,
            Kernels kernels) {

        /** The same by the decoder for pictures that overflow in this one. */
        public Job byFallback() {
            return new Job(
                    decoding.by(java.util.Objects.requireNonNull(decoding.vae().fallback())),
                    worker -> decoders.apply(worker).fallback(),
                    first,
                    workers,
                    atOnce,
                    latents,
                    image,
                    kernels);
        }
    }

    DecodeRun(Job job, int units, Memory memory) {
        super(NAME, units, job.atOnce(), memory);
        this.job = job;
    }

    /**
     * The units of a job.
     *
     * @throws io.github.asg4j.BadBundleException the tail of a tiled decoder cannot be loaded
     */
    public static DecodeRun of(Job job) {
        Memory memory = new Memory("VAE tiles");
        try {
            if (job.decoding().whole()) {
                return new WholeDecode(job, memory);
            }
            if (!job.decoding().exact()) {
                return new FeatheredTiles(job, memory);
            }
            VaeDecoder first = job.decoders().apply(Math.max(job.first(), 0));
            return new ExactTiles(job, first.tail(), memory);
        } catch (RuntimeException e) {
            memory.close();
            throw e;
        }
    }

    /**
     * Carries out all units in the calling thread, with the first worker's networks.
     *
     * @param network runs them
     */
    public final void carryOut(InterruptibleRuns network) {
        carryOut(network, Math.max(job.first(), 0));
    }

    /** Whether it gave up: the decoder overflows on this picture, and there is another one. */
    public final boolean overflowed() {
        return overflowed;
    }

    @Override
    public final boolean givenUp() {
        return overflowed || super.givenUp();
    }

    /**
     * Whether all values are finite; if not, what is left of this run is given up.
     *
     * @throws io.github.asg4j.BadBundleException they are not, and the bundle has no other decoder
     */
    public final boolean finite(MemorySegment values) {
        if (job.kernels().firstNonFinite(values, values.byteSize() / 4) < 0) {
            return true;
        }
        if (job.decoding().vae().fallback() == null) {
            throw NonFinite.decoded();
        }
        overflowed = true;
        return false;
    }
}
