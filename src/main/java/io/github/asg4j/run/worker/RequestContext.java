// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.GenerationRequest;
import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.planning.PlannedRequest;

import java.util.List;
import java.util.function.IntFunction;

/**
 * What all that is done for one request reads.
 *
 * @param engine the parts that it shares with other requests
 * @param devices of the engine
 * @param planned the request with all that was decided for it
 * @param workers who draw it
 * @param times where its time goes
 */
public record RequestContext(
        EngineParts engine,
        DevicePool devices,
        PlannedRequest planned,
        Workers workers,
        RequestTimes times) {
    public GenerationRequest request() {
        return planned.request();
    }

    public Plan plan() {
        return planned.plan();
    }

    public Canvas canvas() {
        return planned.plan().canvas();
    }

    public Manifest manifest() {
        return engine.bundle().manifest();
    }

    public LoadedModel model() {
        return engine.model();
    }

    /** Kernels on host memory. */
    public Kernels kernels() {
        return engine.kernels();
    }

    /** Host memory of the request, freed when it has ended. */
    public Memory memory() {
        return workers.memory();
    }

    /** The worker on the device that has the text encoders and what of the VAE runs whole. */
    public int frontWorker() {
        return workers.workers().stream().map(Worker::lane).toList().indexOf(devices.front());
    }

    /** A network of every worker's device, by worker. */
    public <T> List<T> ofEachWorker(IntFunction<T> ofLane) {
        return workers.workers().stream()
                .map(worker -> ofLane.apply(devices.indexOf(worker.lane())))
                .toList();
    }

    /** A network of one worker's device. */
    public <T> T of(int worker, IntFunction<T> ofLane) {
        return ofLane.apply(devices.indexOf(workers.workers().get(worker).lane()));
    }
}
