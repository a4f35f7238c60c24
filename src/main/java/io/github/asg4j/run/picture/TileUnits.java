// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.work.WorkUnits;

import java.lang.foreign.MemorySegment;

/** Units of one step each, parts of a picture, taken by whoever is idle. */
public abstract class TileUnits extends WorkUnits {
    private final String name;

    public TileUnits(String name, int count) {
        super(count);
        this.name = name;
    }

    /** Number of units that are done. */
    public final int completed(Progress progress) {
        int done = 0;
        for (int unit = 0; unit < units(); unit++) {
            done += progress.completed(unit);
        }
        return done;
    }

    @Override
    public final String name() {
        return name;
    }

    @Override
    public final boolean joins(int unit) {
        return false;
    }

    @Override
    public final boolean sharedOut() {
        return false;
    }

    @Override
    public final int views(int unit) {
        return 1;
    }

    @Override
    public final int total(int unit) {
        return 1;
    }

    /** Copies a rectangle of {@code planes} planes from [fromH, fromW] to [toH, toW]. */
    public static void copy(
            MemorySegment from,
            int fromH,
            int fromW,
            int fromTop,
            int fromLeft,
            MemorySegment to,
            int toH,
            int toW,
            int toTop,
            int toLeft,
            int rows,
            int columns,
            int planes) {
        for (int plane = 0; plane < planes; plane++) {
            for (int row = 0; row < rows; row++) {
                MemorySegment.copy(
                        from,
                        4 * (((long) plane * fromH + fromTop + row) * fromW + fromLeft),
                        to,
                        4 * (((long) plane * toH + toTop + row) * toW + toLeft),
                        4L * columns);
            }
        }
    }
}
