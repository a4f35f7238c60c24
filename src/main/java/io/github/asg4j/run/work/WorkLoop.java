// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.work;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.run.worker.DevicePool;
import io.github.asg4j.run.worker.Flight;
import io.github.asg4j.run.worker.InterruptibleRuns;
import io.github.asg4j.run.worker.Worker;

import java.util.List;

/**
 * Lets the workers of a request do its work: one thread each, which takes unit after unit from the
 * {@link WorkScheduler}. What fails on one of them is sorted here into what ends the request and what
 * only loses the worker.
 */
public final class WorkLoop {
    private static final System.Logger LOG = System.getLogger(WorkLoop.class.getName());
    private static final long POLL_MILLIS = 200;

    private final List<Worker> workers;
    private final DevicePool devices;
    private final WorkScheduler scheduler;
    private final Cancellation cancellation;

    /** What the request's own thread runs meanwhile. */
    private final InterruptibleRuns own = new InterruptibleRuns();

    /**
     * @param workers of the request; there before the first {@link #carryOut}
     */
    public WorkLoop(
            List<Worker> workers,
            DevicePool devices,
            WorkScheduler scheduler,
            Cancellation cancellation) {
        this.workers = workers;
        this.devices = devices;
        this.scheduler = scheduler;
        this.cancellation = cancellation;
    }

    /** Networks that the request's own thread runs: a cancellation ends them too. */
    public InterruptibleRuns own() {
        return own;
    }

    /**
     * Lets the workers do parts of the work, one after the other, and returns when all have ended.
     *
     * @param progress called now and then by this thread
     * @throws AsgException what ended the request
     */
    public void carryOut(List<? extends WorkUnits> parts, Runnable progress) {
        scheduler.begin();
        cancellation.onCancel(
                () -> {
                    scheduler.fail(new CancelledException("the generation was cancelled"));
                    workers.forEach(Worker::terminate);
                    own.terminate();
                });
        for (Worker worker : workers) {
            if (!scheduler.isLost(worker)) {
                start(worker, parts);
            }
        }
        try {
            long seen = 0;
            while (!scheduler.allFinished()) {
                seen = scheduler.awaitChange(seen, POLL_MILLIS);
                progress.run();
            }
            progress.run();
        } catch (AsgException e) {
            scheduler.fail(e);
        } catch (RuntimeException | Error e) {
            // Else they would draw to the end, for nobody.
            scheduler.fail(new CancelledException("the picture is given up", e));
            throw e;
        } finally {
            awaitWorkers();
            cancellation.onCancel(null);
        }
        scheduler.check();
    }

    /** One that cannot be started, for want of a thread perhaps, has failed: the others run. */
    private void start(Worker worker, List<? extends WorkUnits> parts) {
        try {
            worker.lane().thread().execute(() -> work(worker, parts));
        } catch (RuntimeException | Error e) {
            boolean told = false;
            try {
                failed(worker, e);
                told = true;
            } catch (RuntimeException | Error again) {
                e.addSuppressed(again); // those that run are waited for in any case
            } finally {
                scheduler.workerFinished(worker, told);
            }
        }
    }

    /** Their memory may only be freed once no worker uses it any more. */
    private void awaitWorkers() {
        long seen = 0;
        while (!scheduler.allFinished()) {
            seen = scheduler.awaitChange(seen, POLL_MILLIS);
        }
    }

    /** What one worker does of some parts, in its own thread. */
    private void work(Worker worker, List<? extends WorkUnits> parts) {
        boolean told = false;
        try {
            worker.queue().enter();
            for (WorkUnits part : parts) {
                int unit;
                while ((unit = scheduler.next(part, worker)) != WorkScheduler.PART_DONE) {
                    int step = scheduler.completed(part, unit);
                    boolean joins = part.joins(unit);
                    worker.beforeStep(part.name(), unit, joins, step);
                    Flight.Call flight = Flight.call(worker, part.name(), unit, joins, step);
                    worker.calls().begin(part.name(), unit, joins, step);
                    boolean complete = part.execute(worker, unit, step);
                    worker.calls().end();
                    Flight.commit(flight);
                    if (complete) {
                        scheduler.complete(part, unit);
                    }
                }
            }
            worker.calls().drain();
            told = true;
        } catch (RuntimeException | Error e) {
            failed(worker, e);
            told = true;
        } finally {
            scheduler.workerFinished(worker, told);
        }
    }

    /** Tells the scheduler first: where the heap is full, the log may fail as well. */
    private void failed(Worker worker, Throwable e) {
        if (scheduler.hasFailedWith(e)) {
            return;
        }
        switch (e) {
            // the same on every device: no other could do better
            case BadBundleException all -> scheduler.fail(all);
            case BadRequestException all -> scheduler.fail(all);
            case OutOfMemoryException all -> scheduler.fail(all);
            case CancelledException all -> scheduler.fail(all);
            default -> {
                if (worker.onHost()) {
                    scheduler.lose(worker, e);
                    String message = DevicePool.lostMessage(worker.lane(), e);
                    LOG.log(System.Logger.Level.WARNING, message);
                } else if (worker.lane().isLost(e)) {
                    // What it had enqueued, and what others took from it, is in doubt.
                    String message = DevicePool.lostMessage(worker.lane(), e);
                    devices.lose(worker.lane(), message);
                    scheduler.fail(DeviceException.lost(message, e));
                } else {
                    // The device still works: only this request fails.
                    scheduler.fail(
                            e instanceof AsgException typed
                                    ? typed
                                    : new DeviceException(worker.name() + " failed: " + e, e));
                }
            }
        }
    }
}
