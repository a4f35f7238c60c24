// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.AsgException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.planning.PlannedRequest;
import io.github.asg4j.planning.Planner;
import io.github.asg4j.run.work.Cancellation;
import io.github.asg4j.run.work.DeviceSpeeds;
import io.github.asg4j.run.worker.DeviceLane;
import io.github.asg4j.run.worker.DevicePool;
import io.github.asg4j.run.worker.EngineParts;
import io.github.asg4j.run.worker.WorkerHook;

import java.util.List;

/**
 * Draws one request after the other, and begins again where that helps: on the devices that are left
 * when one is lost, with fewer views per call when memory is short. One request at a time; {@link
 * Cancellation} works from any thread.
 */
public final class Runner {
    private static final System.Logger LOG = System.getLogger(Runner.class.getName());

    private final EngineParts engine;
    private final Planner planner;
    private final DevicePool devices;
    private final long memoryLimit;
    private final WorkerHook hook;
    private final DeviceSpeeds speeds = new DeviceSpeeds();

    /**
     * @param planner plans again with fewer views per call
     * @param lanes one per worker
     * @param memoryLimit bytes a request may take
     */
    public Runner(
            EngineParts engine,
            Planner planner,
            List<DeviceLane> lanes,
            long memoryLimit,
            WorkerHook hook) {
        this.engine = engine;
        this.planner = planner;
        this.devices = new DevicePool(lanes);
        this.memoryLimit = memoryLimit;
        this.hook = hook;
    }

    /** Names of the GPUs that are lost. */
    List<String> lostNames() {
        return devices.lostNames();
    }

    /**
     * Draws one picture.
     *
     * @throws AsgException when it cannot be drawn
     */
    public GeneratedImage run(
            PlannedRequest request, GenerationListener listener, Cancellation cancellation) {
        PlannedRequest current = request;
        while (true) {
            cancellation.check(); // while it waited: nothing is loaded for it
            Plan plan = current.plan();
            int lostBefore = devices.lostCount();
            devices.requireOne();
            try {
                devices.leaveLostFront(engine.model()::moveFront);
                return draw(current, listener, cancellation);
            } catch (DeviceException e) {
                if (devices.lostCount() == lostBefore) {
                    devices.loseDead(e); // before the workers began, say
                }
                if (devices.lostCount() == lostBefore) {
                    throw e;
                }
                if (!devices.working().isEmpty()) {
                    LOG.log(
                            System.Logger.Level.WARNING,
                            e.getMessage() + "; the picture is begun again on those that are left");
                }
            } catch (OutOfMemoryException e) {
                if (plan.viewBatch() == 1) {
                    throw e;
                }
                int half = plan.viewBatch() / 2;
                LOG.log(
                        System.Logger.Level.WARNING,
                        "out of memory with a view batch of "
                                + plan.viewBatch()
                                + ", going on with "
                                + half
                                + ": the last bits of the picture may change");
                current =
                        planner.planned(
                                        current.request().toBuilder().viewBatch(half).build(),
                                        current.controlFiles())
                                .withLoras(current.loras())
                                .withText(plan.text());
            }
        }
    }

    private GeneratedImage draw(
            PlannedRequest request, GenerationListener listener, Cancellation cancellation) {
        boolean traced = listener.wantsTrace();
        try (RequestRun run =
                new RequestRun(request, engine, devices, speeds, listener, cancellation)) {
            run.prepare(memoryLimit);
            run.addWorkers(hook, traced);
            GeneratedImage image = run.draw();
            run.measure(speeds);
            if (traced) {
                run.reportTrace();
            }
            return image;
        }
    }
}
