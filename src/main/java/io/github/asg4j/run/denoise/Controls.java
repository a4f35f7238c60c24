// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.model.ControlNetwork;
import io.github.asg4j.run.worker.Worker;

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
     * @param picture that it is shown, RGB in [0, 1]
     */
    public record Net(
            List<ControlNetwork> byWorker,
            float weight,
            List<Boolean> activeIn,
            ShownPicture picture) {
        public Net {
            byWorker = List.copyOf(byWorker);
            activeIn = List.copyOf(activeIn);
        }

        ControlNetwork on(Worker worker) {
            return byWorker.get(worker.index());
        }
    }
}
