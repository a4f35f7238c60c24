// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spring;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;

import org.jspecify.annotations.Nullable;
import org.springframework.context.SmartLifecycle;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * An engine that is opened for the first picture, or at the start. When the application stops it waits,
 * within {@code spring.lifecycle.timeout-per-shutdown-phase}, for the pictures that wait or are drawn;
 * closing cancels those that are left. It stops after the web server has finished its requests.
 * Thread-safe.
 */
public final class EngineHolder implements SmartLifecycle, AutoCloseable {
    /** Below those of web servers, which stop before: Spring stops the highest phase first. */
    private static final int PHASE = SmartLifecycle.DEFAULT_PHASE - 4096;

    private static final long POLL_MILLIS = 20;

    private final EngineOptions options;
    private final boolean eager;
    private final List<Consumer<Engine>> listeners = new ArrayList<>();

    /** Set once, under the lock. */
    private volatile @Nullable Engine engine;

    private volatile boolean closed;
    private volatile boolean running;

    EngineHolder(EngineOptions options, boolean eager) {
        this.options = options;
        this.eager = eager;
    }

    /**
     * The engine, which is opened if it is not.
     *
     * @throws io.github.asg4j.AsgException when it cannot be opened; the next call tries again
     * @throws IllegalStateException when the application has been stopped
     */
    public synchronized Engine engine() {
        if (closed) {
            throw new IllegalStateException("the application has been stopped");
        }
        Engine there = engine;
        if (there == null) {
            there = Engine.open(options);
            engine = there;
            for (Consumer<Engine> listener : listeners) {
                listener.accept(there);
            }
        }
        return there;
    }

    /** The engine if it is open, else null; does not wait while it is opened. */
    @Nullable Engine ifOpen() {
        return engine;
    }

    /** Calls {@code listener} with the engine, now or when it is opened. */
    synchronized void whenOpen(Consumer<Engine> listener) {
        Engine there = engine;
        if (there == null) {
            listeners.add(listener);
        } else {
            listener.accept(there);
        }
    }

    @Override
    public int getPhase() {
        return PHASE;
    }

    @Override
    public void start() {
        running = true;
        if (eager) {
            engine();
        }
    }

    @Override
    public boolean isRunning() {
        return running;
    }

    @Override
    public void stop() {
        running = false;
    }

    @Override
    public void stop(Runnable done) {
        running = false;
        Thread.ofVirtual()
                .name("asg-drain")
                .start(
                        () -> {
                            try {
                                drain();
                            } catch (InterruptedException e) {
                                Thread.currentThread().interrupt();
                            } finally {
                                done.run();
                            }
                        });
    }

    private void drain() throws InterruptedException {
        Engine there = ifOpen();
        while (there != null && !closed && busy(there)) {
            Thread.sleep(POLL_MILLIS);
        }
    }

    private static boolean busy(Engine engine) {
        var activity = engine.activity();
        return activity.running() + activity.waiting() > 0;
    }

    /** Cancels what waits or is drawn, and frees the engine. */
    @Override
    public synchronized void close() {
        closed = true;
        Engine there = engine;
        if (there != null) {
            there.close();
        }
    }
}
