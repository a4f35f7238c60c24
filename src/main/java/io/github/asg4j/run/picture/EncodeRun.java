// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.device.Memory;
import io.github.asg4j.model.TiledPart;
import io.github.asg4j.model.VaeEncoder;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Encoding;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.NetworkThread;

import java.lang.foreign.MemorySegment;
import java.util.function.IntFunction;

/**
 * A picture encoded in tiles that take the statistics of the whole picture. First come the {@link
 * NormPasses} of the encoder's front, the last of which gives the features of the whole picture; the last
 * unit is the encoder's tail, over all of them.
 */
public final class EncodeRun extends VaeRun {
    public static final String NAME = "encode";

    private final Job job;
    private final NormPasses passes;

    /** Float32 [width, rows, columns], what the tiles are put together to. */
    private final MemorySegment features;

    /**
     * What is encoded, and by whom.
     *
     * @param encoders by worker; each is asked on the worker's thread, and the first on the caller's
     * @param last worker that does what is not cut in tiles; {@link
     *     io.github.asg4j.run.work.WorkUnits#NOBODY}: any
     * @param workers how many there are
     * @param atOnce units that may be carried out at the same time
     * @param picture float32 [3, h * f, w * f], -1 to 1
     * @param latents float32 [C, h, w], neither shifted nor scaled
     */
    public record Job(
            Encoding encoding,
            IntFunction<VaeEncoder> encoders,
            int last,
            int workers,
            int atOnce,
            MemorySegment picture,
            MemorySegment latents) {}

    private EncodeRun(Job job, TiledPart front, Memory memory) {
        super(
                NAME,
                NormPasses.units(front.norms(), job.encoding().tiles().size()) + 1,
                job.atOnce(),
                memory);
        this.job = job;
        Encoding encoding = job.encoding();
        int rows = encoding.height() * encoding.scale();
        int columns = encoding.width() * encoding.scale();
        features = memory.floats((long) front.width() * rows * columns, "features");
        passes =
                new NormPasses(
                        encoding.tiles(),
                        front,
                        features,
                        job.picture(),
                        rows,
                        columns,
                        encoding.pixels(),
                        job.workers());
    }

    /**
     * The units of a job that is not encoded whole.
     *
     * @throws io.github.asg4j.BadBundleException the front of the tiled encoder cannot be loaded
     */
    public static EncodeRun of(Job job) {
        TiledPart front = job.encoders().apply(Math.max(job.last(), 0)).front();
        Memory memory = new Memory("VAE tiles");
        try {
            return new EncodeRun(job, front, memory);
        } catch (RuntimeException e) {
            memory.close();
            throw e;
        }
    }

    @Override
    public int[] owners(double[] speeds) {
        int[] owners = super.owners(speeds);
        owners[passes.units()] = job.last();
        return owners;
    }

    @Override
    public boolean ready(int unit, Progress progress) {
        return passes.ready(unit, 0, progress);
    }

    @Override
    public void carryOut(NetworkThread thread, int worker, int unit) {
        VaeEncoder encoder = job.encoders().apply(worker);
        if (unit == passes.units()) {
            passes.close();
            int h = job.encoding().height();
            int w = job.encoding().width();
            try (Binding binding = encoder.bindTail(features, job.latents(), h, w)) {
                thread.run(binding);
            }
            return;
        }
        if (passes.isStored(unit)) {
            return;
        }
        NormPasses.Buffers b = passes.buffers(worker, thread, encoder.front());
        b.run(thread, unit);
        b.keep(unit);
    }

    @Override
    public void close() {
        passes.close();
        super.close();
    }
}
