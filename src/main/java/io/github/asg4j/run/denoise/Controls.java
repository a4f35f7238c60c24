// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.model.ControlNetwork;
import io.github.asg4j.run.worker.Worker;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The control networks of a request, whose outputs are added in this order.
 *
 * @param nets in the order of the request
 */
public record Controls(List<Net> nets) {
    /** None. */
    public static final Controls NONE = new Controls(List.of());

    public Controls {
        nets = List.copyOf(nets);
    }

    public boolean isEmpty() {
        return nets.isEmpty();
    }

    /**
     * One of them.
     *
     * @param byWorker the network
     * @param weight what its outputs are multiplied with
     * @param activeIn whether it takes part, by step of the schedule
     * @param frames its picture
     */
    public record Net(
            List<ControlNetwork> byWorker, float weight, List<Boolean> activeIn, Frames frames) {
        public Net {
            byWorker = List.copyOf(byWorker);
            activeIn = List.copyOf(activeIn);
        }

        ControlNetwork on(Worker worker) {
            return byWorker.get(worker.index());
        }
    }

    /** The picture of a control at the resolution that a stage draws at. */
    public interface Frames {
        /**
         * The whole canvas.
         *
         * @param rows pixels
         * @param columns pixels
         * @param down latent cells of the canvas by which the frame lies below it
         * @param right latent cells of the canvas by which the frame lies right of it
         * @return float32 [3, rows, columns] in host memory of the request
         */
        MemorySegment frame(int rows, int columns, double down, double right);
    }

    /** What one worker shows the networks of the views of one call. */
    interface Views {
        /**
         * Writes the parts of a network's picture that the views of the call hold.
         *
         * @param net index of the network
         * @param k step of the stage
         * @param condition [rows * views, 3, h * factor, w * factor]
         * @param rows per view, as in the call's sample
         */
        void show(int net, int k, MemorySegment condition, int rows);
    }
}
