// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.Size;
import io.github.asg4j.model.Denoiser;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.run.worker.Workers;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * What all stages of a request are made with.
 *
 * @param conditioning of all calls
 * @param table the schedule as the kernels read it
 * @param seed of the step noise
 * @param workers who carry the stages out
 * @param viewBatch the most views of a call
 * @param keep what is kept beyond what the picture needs
 * @param kept the start picture's parts that inpainting keeps; null: all is drawn
 * @param told pixels that the network is told of the picture (SDXL's time_ids)
 */
public record StageContext(
        Conditioning conditioning,
        ScheduleTable table,
        long seed,
        Workers workers,
        int viewBatch,
        Keep keep,
        @Nullable KeptPicture kept,
        Size told) {
    public Canvas canvas() {
        return conditioning.canvas();
    }

    /** The same with another network, by worker. */
    public StageContext with(List<Denoiser> denoisers) {
        return new StageContext(
                conditioning.with(denoisers), table, seed, workers, viewBatch, keep, kept, told);
    }

    /** The same for a stage of a relay: the network is told of its size, and what it keeps is its own. */
    public StageContext ofLeg(Size pixels, @Nullable KeptPicture own) {
        return new StageContext(conditioning, table, seed, workers, viewBatch, keep, own, pixels);
    }
}
