// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.kernel.StepHistory;
import io.github.asg4j.kernel.StepRow;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.function.IntPredicate;
import java.util.function.Supplier;

/**
 * The clean latents that the steps of a stage predict, as far as the solver takes them in later steps
 * (SPEC §2); nothing, where it has no memory. A stage begins without any.
 */
final class Predictions {
    private final ScheduleTable table;
    private final Stage stage;

    /** By step of the stage: how many predictions it takes. */
    private final int[] past;

    /** The prediction of step k at index k % length. */
    private final SharedTensor[] tensors;

    /** Of the whole tensors. */
    private final PerWorker<Histories> whole;

    /**
     * @param begins whether a step takes none of those before it, and no later step does; {@code
     *     false} everywhere but where what is predicted changes within a stage for another reason than
     *     that guidance begins or ends
     * @param tensor makes a tensor for a prediction, in the shape and the parts of the latents
     */
    Predictions(
            StageContext context, Stage stage, IntPredicate begins, Supplier<SharedTensor> tensor) {
        this.table = context.table();
        this.stage = stage;
        int most = table.history();
        past = new int[stage.steps()];
        for (int k = 1; k < past.length; k++) {
            boolean changes = stage.guidance().holds(k) != stage.guidance().holds(k - 1);
            past[k] = changes || begins.test(k) ? 0 : Math.min(past[k - 1] + 1, most);
        }
        tensors = new SharedTensor[most == 0 ? 0 : most + 1];
        for (int i = 0; i < tensors.length; i++) {
            tensors[i] = tensor.get();
        }
        whole =
                new PerWorker<>(
                        context.workers().size(),
                        worker -> new Histories((step, age) -> of(step).on(worker)));
    }

    /** Where the prediction of a step is for a worker, the same for steps that share a tensor. */
    interface Place {
        /**
         * @param age 0 for the step that leaves the prediction, then by how many steps it is past
         */
        MemorySegment of(int step, int age);
    }

    /**
     * What the kernels of each step read and leave, of one worker, made at the first use: there are only
     * as many as the tensors can be combined.
     */
    final class Histories {
        private final Place place;

        /** By step % length of the tensors, and by how many predictions the step takes. */
        private final @Nullable StepHistory[][] made =
                new StepHistory[tensors.length][tensors.length];

        Histories(Place place) {
            this.place = place;
        }

        StepHistory of(int k) {
            if (tensors.length == 0) {
                return StepHistory.NONE;
            }
            @Nullable StepHistory[] byPast = made[k % tensors.length];
            StepHistory history = byPast[past[k]];
            if (history == null) {
                history = make(k);
                byPast[past[k]] = history;
            }
            return history;
        }

        private StepHistory make(int k) {
            MemorySegment[] before = new MemorySegment[StepRow.MAX_PAST];
            for (int j = 0; j < before.length; j++) {
                before[j] = j < past[k] ? place.of(k - 1 - j, j + 1) : MemorySegment.NULL;
            }
            return new StepHistory(place.of(k, 0), before[0], before[1], before[2]);
        }
    }

    /** What the kernels of step {@code k} read and leave, where a worker steps the whole tensor. */
    StepHistory history(Worker worker, int k) {
        return whole.of(worker).of(k);
    }

    /** How many predictions step {@code k} takes. */
    int past(int k) {
        return past[k];
    }

    /** Row of step {@code k} of the stage. */
    MemorySegment row(int k) {
        return table.row(stage.firstStep() + k, past[k]);
    }

    /** The prediction of step {@code k}, as long as a later step may take it. */
    SharedTensor of(int k) {
        return tensors[k % tensors.length];
    }

    /** Brings a part of what step {@code k} takes to the worker. */
    void acquire(Worker worker, int k, int part) {
        for (int j = 1; j <= past[k]; j++) {
            of(k - j).acquire(worker, part);
        }
    }

    /** The worker has enqueued the step that leaves a part of the prediction. */
    void publish(Worker worker, int k, int part) {
        if (tensors.length > 0) {
            of(k).publish(worker, part);
        }
    }
}
