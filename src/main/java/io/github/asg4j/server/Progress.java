// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.jspecify.annotations.Nullable;

/**
 * How far a drawing is. Immutable.
 *
 * @param version grows with every change
 * @param position of a waiting one in the queue, from 1
 * @param stage of the engine's events, empty before the first
 * @param step of the stage, completed
 * @param of steps of the stage
 * @param share of the UNet calls of all stages that are done, 0..1
 * @param seconds since the drawing began
 * @param previews that there were so far
 * @param preview the last one; gone when the drawing has ended
 * @param failure of a failed one
 */
record Progress(
        long version,
        Status status,
        int position,
        String stage,
        int step,
        int of,
        double share,
        double seconds,
        int previews,
        @Nullable Picture preview,
        @Nullable Refusal failure) {
    static final Progress QUEUED = new Progress(0, Status.QUEUED, 0, "", 0, 0, 0, 0, 0, null, null);

    /** The states of a job, from one to the next. */
    enum Status {
        QUEUED,
        DRAWING,
        COMPLETED,
        FAILED,
        CANCELLED;

        boolean isEnd() {
            return this == COMPLETED || this == FAILED || this == CANCELLED;
        }
    }

    Progress at(int place) {
        return new Progress(
                version, status, place, stage, step, of, share, seconds, previews, preview,
                failure);
    }

    Progress began() {
        return new Progress(version, Status.DRAWING, 0, "", 0, 0, 0, 0, 0, null, null);
    }

    Progress reached(String name, int done, int all, double part, double time) {
        return new Progress(
                version, status, 0, name, done, all, part, time, previews, preview, failure);
    }

    Progress shown(Picture picture) {
        return new Progress(
                version,
                status,
                0,
                stage,
                step,
                of,
                share,
                seconds,
                previews + 1,
                picture,
                failure);
    }

    Progress ended(Status end, double time, @Nullable Refusal why) {
        return new Progress(
                version,
                end,
                0,
                stage,
                step,
                of,
                end == Status.COMPLETED ? 1 : share,
                time,
                previews,
                null,
                why);
    }

    Progress numbered(long number) {
        return new Progress(
                number, status, position, stage, step, of, share, seconds, previews, preview,
                failure);
    }
}
