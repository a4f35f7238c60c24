// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.NetworkThread;

/** Latents decoded in one run. */
public final class WholeDecode extends DecodeRun {
    public WholeDecode(Job job, Memory memory) {
        super(job, 1, memory);
    }

    @Override
    public int[] owners(double[] speeds) {
        int[] owners = super.owners(speeds);
        owners[0] = job.first();
        return owners;
    }

    @Override
    public boolean ready(int unit, Progress progress) {
        return true;
    }

    @Override
    public void carryOut(NetworkThread thread, int worker, int unit) {
        int h = job.decoding().height();
        int w = job.decoding().width();
        try (Binding binding =
                job.decoders().apply(worker).bind(job.latents(), job.image(), h, w)) {
            thread.run(binding);
        }
        finite(job.image());
    }
}
