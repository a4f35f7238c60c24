// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.Binding;

/** Latents decoded in one run. */
final class WholeDecode extends DecodeRun {
    WholeDecode(Job job, Memory memory) {
        super(job, 1, memory);
        owner[0] = job.first();
    }

    @Override
    boolean ready(int unit) {
        return true;
    }

    @Override
    void decode(Hands hands, int worker, int unit) {
        int h = job.decoding().height();
        int w = job.decoding().width();
        try (Binding binding =
                job.decoders().apply(worker).bind(job.latents(), job.image(), h, w)) {
            hands.run(binding);
        }
        finite(job.image());
    }
}
