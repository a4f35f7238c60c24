// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.GenerationRequest;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Threshold;
import jdk.jfr.Timespan;

import org.jspecify.annotations.Nullable;

/**
 * Events for JDK Flight Recorder: pictures, their stages, the workers' calls and waits. Where nothing is
 * recorded no event is made: the methods return null, which {@link #commit} takes.
 */
public final class Flight {
    private static final Picture PICTURE = new Picture();
    private static final Stage STAGE = new Stage();
    private static final Call CALL = new Call();
    private static final Wait WAIT = new Wait();

    private Flight() {}

    /** A picture, from its turn in the queue to its pixels. */
    @Name("io.github.asg4j.Picture")
    @Label("Picture")
    @Category("asg4j")
    @StackTrace(false)
    public static final class Picture extends Event {
        @Label("Method")
        @Nullable String method;

        @Label("Width")
        int width;

        @Label("Height")
        int height;

        @Label("Steps")
        int steps;

        @Label("Seed")
        long seed;

        @Label("Time in the queue")
        @Timespan(Timespan.NANOSECONDS)
        long queued;

        /** "completed", or the name of what ended it. */
        @Label("Outcome")
        public @Nullable String outcome;
    }

    /** A stage of a picture, as in the events of {@code GenerationListener}. */
    @Name("io.github.asg4j.Stage")
    @Label("Stage")
    @Category("asg4j")
    @StackTrace(false)
    public static final class Stage extends Event {
        @Label("Stage")
        @Nullable String stage;

        @Label("Steps")
        int steps;
    }

    /** A step of a unit, in the worker's thread; on a GPU the time that it takes to enqueue it. */
    @Name("io.github.asg4j.Call")
    @Label("Call")
    @Category("asg4j")
    @StackTrace(false)
    public static final class Call extends Event {
        @Label("Device")
        @Nullable String device;

        @Label("Stage")
        @Nullable String stage;

        @Label("Unit")
        int unit;

        @Label("Step")
        int step;

        @Label("Joins calls")
        boolean joins;
    }

    /** A time in which a worker's thread had nothing to do. */
    @Name("io.github.asg4j.Wait")
    @Label("Wait")
    @Category("asg4j")
    @StackTrace(false)
    @Threshold("100 us")
    public static final class Wait extends Event {
        @Label("Device")
        @Nullable String device;
    }

    /**
     * Begins a picture.
     *
     * @param queuedNanos that it waited
     */
    public static @Nullable Picture picture(
            GenerationRequest request, int steps, long queuedNanos) {
        if (!PICTURE.isEnabled()) {
            return null;
        }
        Picture event = new Picture();
        event.method = request.method();
        event.width = request.width();
        event.height = request.height();
        event.steps = steps;
        event.seed = request.seed();
        event.queued = queuedNanos;
        event.begin();
        return event;
    }

    /** Begins a stage. */
    public static @Nullable Stage stage(String name, int steps) {
        if (!STAGE.isEnabled()) {
            return null;
        }
        Stage event = new Stage();
        event.stage = name;
        event.steps = steps;
        event.begin();
        return event;
    }

    /** Begins a step of a unit. */
    public static @Nullable Call call(
            Worker worker, String stage, int unit, boolean joins, int step) {
        if (!CALL.isEnabled()) {
            return null;
        }
        Call event = new Call();
        event.device = worker.name();
        event.stage = stage;
        event.unit = unit;
        event.joins = joins;
        event.step = step;
        event.begin();
        return event;
    }

    /** Begins a wait. */
    static @Nullable Wait waiting(String device) {
        if (!WAIT.isEnabled()) {
            return null;
        }
        Wait event = new Wait();
        event.device = device;
        event.begin();
        return event;
    }

    /** Ends an event and records it. */
    public static void commit(@Nullable Event event) {
        if (event != null) {
            event.commit();
        }
    }
}
