// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.AsgException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.EngineActivity;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.planning.PlannedRequest;
import io.github.asg4j.run.work.Cancellation;
import io.github.asg4j.run.worker.Fleet;
import io.github.asg4j.run.worker.Flight;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The requests of an engine: one is drawn, by a thread of the queue's own, and so many may wait.
 * Thread-safe.
 */
final class RequestQueue {
    private final EngineOptions options;
    private final Runner runner;
    private final ThreadPoolExecutor dispatcher;

    /** Places for the request that is drawn and those that may wait. */
    private final Semaphore places;

    /** The dispatcher's, once it has run something; it tells listeners and completes futures. */
    private volatile @Nullable Thread requests;

    private final Set<Running> open = ConcurrentHashMap.newKeySet();

    RequestQueue(EngineOptions options, Runner runner) {
        this.options = options;
        this.runner = runner;
        places = new Semaphore(options.queueCapacity() + 1, true);
        dispatcher =
                new ThreadPoolExecutor(
                        1,
                        1,
                        0,
                        TimeUnit.SECONDS,
                        new LinkedBlockingQueue<>(),
                        daemon("asg-requests"));
    }

    private static ThreadFactory daemon(String name) {
        return Thread.ofPlatform().daemon().name(name).factory();
    }

    /**
     * Queues a request.
     *
     * @throws RejectedExecutionException when the queue is full and the options say so or a listener
     *     submits, or the queue is closed
     */
    Generation submit(PlannedRequest request, GenerationListener listener) {
        Running running = new Running(request, listener);
        takePlace();
        open.add(running);
        boolean accepted = false;
        try {
            dispatcher.execute(running);
            accepted = true;
        } catch (RejectedExecutionException e) {
            throw new RejectedExecutionException("the engine is closed", e);
        } finally {
            if (!accepted) {
                running.leave(); // whoever waits takes the place over and is refused too
            }
        }
        return running;
    }

    private void takePlace() {
        try {
            // A listener that waited would wait for itself.
            if (options.whenFull() == EngineOptions.WhenFull.WAIT && !inRequestsThread()) {
                places.acquire();
            } else if (!places.tryAcquire()) {
                throw new RejectedExecutionException(
                        dispatcher.isShutdown()
                                ? "the engine is closed"
                                : "the queue is full: "
                                        + options.queueCapacity()
                                        + " requests wait already");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CancelledException("interrupted while waiting for a place in the queue", e);
        }
    }

    /**
     * Runs something behind the requests that were submitted before; waits for it, unless the
     * caller is a listener, which would wait for itself.
     *
     * @throws RejectedExecutionException when the queue is closed
     */
    void between(Runnable action) {
        CompletableFuture<Void> done;
        try {
            done = CompletableFuture.runAsync(action, dispatcher);
        } catch (RejectedExecutionException e) {
            throw new RejectedExecutionException("the engine is closed", e);
        }
        if (!inRequestsThread()) {
            try {
                done.join();
            } catch (CompletionException e) {
                if (e.getCause() instanceof AsgException cause) {
                    throw cause;
                }
                throw e;
            }
        }
    }

    private boolean inRequestsThread() {
        return Thread.currentThread() == requests;
    }

    /**
     * What waits and what is drawn.
     *
     * @param busy time of each worker, by its name
     */
    EngineActivity activity(Map<String, Duration> busy) {
        int all = 0;
        int running = 0;
        for (Running each : open) {
            all++;
            running += each.taken.get() ? 1 : 0;
        }
        return new EngineActivity(
                all - running, options.queueCapacity(), running, busy, runner.lostNames());
    }

    /**
     * Takes no more requests and cancels all; then calls {@code free}: at once, or in a thread of its
     * own where the caller is a listener, which would wait for itself.
     */
    void close(Runnable free) {
        dispatcher.shutdown();
        open.forEach(Running::cancel);
        if (inRequestsThread()) {
            daemon("asg-close").newThread(free).start();
        } else {
            free.run();
        }
    }

    /** Waits for what is drawn; after {@link #close}. */
    void awaitEnd() {
        Fleet.end(dispatcher);
    }

    /** One submitted request. */
    private final class Running implements Generation, Runnable {
        private final PlannedRequest request;
        private final GenerationListener listener;
        private final Cancellation cancellation = new Cancellation();
        private final CompletableFuture<GeneratedImage> future = new CompletableFuture<>();
        private final long submitted = System.nanoTime();

        /** Whether it is drawn or was given up: decided once, by the dispatcher or by who cancels. */
        private final AtomicBoolean taken = new AtomicBoolean();

        Running(PlannedRequest request, GenerationListener listener) {
            this.request = request;
            this.listener = listener;
        }

        @Override
        public void run() {
            requests = Thread.currentThread();
            if (!taken.compareAndSet(false, true)) {
                return;
            }
            Flight.Picture flight =
                    Flight.picture(
                            request.request(),
                            request.plan().report().steps(),
                            System.nanoTime() - submitted);
            GeneratedImage image;
            try {
                image = runner.run(request, listener, cancellation);
                land(flight, "completed");
            } catch (Throwable e) {
                land(flight, e.getClass().getSimpleName());
                leave();
                future.completeExceptionally(e);
                return;
            }
            leave();
            future.complete(image);
        }

        private static void land(Flight.@Nullable Picture flight, String outcome) {
            if (flight != null) {
                flight.outcome = outcome;
                flight.commit();
            }
        }

        /** Before anybody hears of the end: who then submits the next one finds its place free. */
        void leave() {
            if (open.remove(this)) {
                places.release();
            }
        }

        @Override
        public CompletableFuture<GeneratedImage> future() {
            return future.copy();
        }

        @Override
        public void cancel() {
            cancellation.cancel();
            if (taken.compareAndSet(false, true)) {
                dispatcher.remove(this);
                leave();
                future.completeExceptionally(
                        new CancelledException("the generation was cancelled while it waited"));
            }
        }

        @Override
        public GeneratedImage join() {
            try {
                return future.join();
            } catch (CompletionException e) {
                if (e.getCause() instanceof AsgException cause) {
                    throw cause;
                }
                throw e;
            }
        }
    }
}
