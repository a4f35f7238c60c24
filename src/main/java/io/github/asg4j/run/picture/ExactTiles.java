// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.device.Memory;
import io.github.asg4j.model.TiledPart;
import io.github.asg4j.model.VaeDecoder;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Decoding;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.NetworkThread;

import java.lang.foreign.MemorySegment;

/**
 * Latents decoded in tiles that take the statistics of the whole picture. Unit 0 is the decoder's
 * front, over all. Then come the {@link NormPasses} of its tail.
 */
public final class ExactTiles extends DecodeRun {
    private final NormPasses passes;

    /** Float32 [width, rows, columns], what the tiles are cut out of. */
    private final MemorySegment features;

    public ExactTiles(Job job, TiledPart tail, Memory memory) {
        super(job, 1 + NormPasses.units(tail.norms(), job.decoding().tiles().size()), memory);
        Decoding decoding = job.decoding();
        int rows = decoding.height() * decoding.scale();
        int columns = decoding.width() * decoding.scale();
        features = memory.floats((long) tail.width() * rows * columns, "features");
        passes =
                new NormPasses(
                        decoding.tiles(),
                        tail,
                        features,
                        job.image(),
                        rows,
                        columns,
                        decoding.pixels(),
                        job.workers());
    }

    @Override
    public int[] owners(double[] speeds) {
        int[] owners = super.owners(speeds);
        owners[0] = job.first();
        return owners;
    }

    @Override
    public boolean ready(int unit, Progress progress) {
        return unit == 0 || (progress.completed(0) > 0 && passes.ready(unit - 1, 1, progress));
    }

    @Override
    public void carryOut(NetworkThread thread, int worker, int unit) {
        VaeDecoder decoder = job.decoders().apply(worker);
        if (unit == 0) {
            int h = job.decoding().height();
            int w = job.decoding().width();
            try (Binding binding = decoder.bindFront(job.latents(), features, h, w)) {
                thread.run(binding);
            }
            if (decoder.tail().keeps()) {
                decoder.freeFront();
            }
            return;
        }
        int of = unit - 1;
        if (passes.isStored(of)) {
            return;
        }
        NormPasses.Buffers b = passes.buffers(worker, thread, decoder.tail());
        b.run(thread, of);
        if (finite(passes.last(of) ? b.result() : b.moments())) {
            b.keep(of);
        }
    }

    @Override
    public void close() {
        passes.close();
        super.close();
    }
}
