// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;

/** The network calls of one worker that are enqueued and may not be done; its thread's alone. */
public interface CallsInFlight extends AutoCloseable {
    /** How many calls a worker's thread may be ahead of its device. */
    int DEPTH = 2;

    /**
     * Before a step of a unit: waits, asleep, until fewer than {@link #DEPTH} calls are in flight.
     * What joins calls runs no network and does not count among them.
     */
    void begin(String stage, int unit, boolean joins, int step);

    /** Which of {@link #DEPTH} sets of staging memory belongs to the call that has begun. */
    int slot();

    /** Just before and just after the network. */
    void networkBegins();

    void networkEnds();

    /**
     * Where the operations that read what the network returned search it for a NaN or an infinity:
     * {@code found} of {@link io.github.asg4j.kernel.Kernels#combine}. Nothing resets it: the first
     * one ends the request.
     */
    MemorySegment found();

    /**
     * After those operations: looks at what they found, at once, or when the call is seen to be
     * done.
     *
     * @throws io.github.asg4j.BadBundleException if there was one
     */
    void watch(Stage stage, int step);

    /** After a call. */
    void end();

    /** Waits for all calls and says what {@link #watch} found. */
    void drain();

    @Override
    void close();
}
