// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Units of one step each, parts of a picture, taken by whoever is idle. */
abstract class TileUnits extends Units {
    private final String name;

    TileUnits(String name, int count) {
        super(count);
        this.name = name;
    }

    /** Units that are done; under the board's lock. */
    final int completed() {
        return Arrays.stream(done).sum();
    }

    @Override
    final String name() {
        return name;
    }

    @Override
    final boolean joins(int unit) {
        return false;
    }

    @Override
    final boolean sharedOut() {
        return false;
    }

    @Override
    final int views(int unit) {
        return 1;
    }

    @Override
    final int total(int unit) {
        return 1;
    }

    /** Copies a rectangle of {@code planes} planes from [fromH, fromW] to [toH, toW]. */
    static void copy(
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
