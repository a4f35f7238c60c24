// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;

/** The network calls of one worker that are enqueued and may not be done; its thread's alone. */
interface InFlight extends AutoCloseable {
    /** How many calls a worker's thread may be ahead of its device. */
    int DEPTH = 2;

    /** Before a call: waits, asleep, until fewer than {@link #DEPTH} are in flight. */
    void begin();

    /** Which of {@link #DEPTH} sets of staging memory belongs to the call that has begun. */
    int slot();

    /** Just before and just after the network. */
    void networkBegins();

    void networkEnds();

    /**
     * Looks for a NaN or an infinity in what the network returned: at once, or when the call is seen
     * to be done.
     *
     * @throws io.github.asg4j.BadBundleException if there is one
     */
    void watch(MemorySegment noise, Stage stage, int step);

    /** After a call. */
    void end();

    /** Before work that joins calls and runs no network: it does not count among them. */
    void beginJoin();

    /** After such work. */
    void endJoin();

    /** Waits for all calls and says what {@link #watch} found. */
    void drain();

    @Override
    void close();
}
