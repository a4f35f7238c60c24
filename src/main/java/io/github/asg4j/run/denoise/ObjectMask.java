// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Stage;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Which windows of stage 2 hold the object, by the key patch's mask of the last step of stage 1
 * (SPEC §10). Decided once, when stage 1 has ended; read by all workers after that.
 */
public final class ObjectMask {
    private static final float THRESHOLD = 0.5f;

    private final Canvas canvas;
    private final Stage.Windows windows;
    private final boolean[] holds;
    private final double share;

    /**
     * @param share of a window that the object has to cover
     */
    public ObjectMask(Canvas canvas, Stage.Windows windows, double share) {
        this.canvas = canvas;
        this.windows = windows;
        this.share = share;
        this.holds = new boolean[windows.views()];
    }

    /**
     * Decides for all windows; at the stage switch, before any of them is read.
     *
     * @param mask [h, w] of the key patch's last step, in host memory
     */
    public void decide(MemorySegment mask) {
        for (int view = 0; view < holds.length; view++) {
            int top = windows.y().start(view / windows.x().count());
            int left = windows.x().start(view % windows.x().count());
            long cells = 0;
            for (int y = top; y < top + windows.viewHeight(); y++) {
                for (int x = left; x < left + windows.viewWidth(); x++) {
                    cells += at(mask, y / canvas.y().patches(), x / canvas.x().patches());
                }
            }
            holds[view] =
                    (double) cells / ((double) windows.viewHeight() * windows.viewWidth()) >= share;
        }
    }

    private int at(MemorySegment mask, int y, int x) {
        long cell = (long) y * canvas.x().patch() + x;
        return mask.getAtIndex(ValueLayout.JAVA_FLOAT, cell) >= THRESHOLD ? 1 : 0;
    }

    public boolean holdsObject(int view) {
        return holds[view];
    }

    /** Windows without an object. */
    public int backgroundWindows() {
        int n = 0;
        for (boolean h : holds) {
            n += h ? 0 : 1;
        }
        return n;
    }
}
