// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.work.Progress;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Strips of rows in which the canvas of a stage of windows is stepped, and which of them the windows of
 * each call meet in each step, jitter included. A strip ends where the windows of some call, and of
 * all after it, begin in every step: so it can be stepped when the calls before are done, and calls
 * in order complete one strip at a time at most.
 *
 * <p>Nobody waits for all. With M(k) for the strips that a call's windows meet in step k,
 *
 * <ul>
 *   <li>a call begins step k when the strips of M(k) and of M(k - 1) have made step k - 1: what it
 *       reads is there, and who read the noise that it overwrites has done so;
 *   <li>a strip begins step k when the calls that meet it in step k have made it: their noise is
 *       there.
 * </ul>
 *
 * One buffer of noise and two canvases by turns suffice. A strip writes over the canvas before step k -
 * 1, which it has read itself, and the calls that met it then, all before its own step k - 1. What a
 * call reads in step k is not overwritten meanwhile: the strip would be in step k + 1, and its step k
 * waits for that call. And some unit is always ready: of those furthest behind any call, or any strip
 * if there is no call. What a strip sums is in a fixed order, so the bytes are the same whoever comes
 * first.
 */
public final class CanvasStrips {
    /** Of a window's rows: the least that a strip has. */
    private static final int THINNEST = 4;

    /** First row by strip, and behind them the rows of the canvas. */
    private final int[] bounds;

    /** First and last strip by step and call. */
    private final int[][] first;

    private final int[][] last;

    /** First and last call by strip, of all steps. */
    private final int[] firstCall;

    private final int[] lastCall;

    /** Number of calls: behind their units come the strips'. */
    private final int calls;

    private CanvasStrips(
            int[] bounds, Stage.Windows windows, List<Stage.Call> calls, MemorySegment starts) {
        this.bounds = bounds;
        this.calls = calls.size();
        first = new int[windows.steps()][calls.size()];
        last = new int[windows.steps()][calls.size()];
        firstCall = new int[count()];
        lastCall = new int[count()];
        Arrays.fill(firstCall, calls.size());
        for (int k = 0; k < windows.steps(); k++) {
            for (int c = 0; c < calls.size(); c++) {
                int low = windows.y().canvas();
                int high = 0;
                Stage.Call call = calls.get(c);
                for (int view = call.first(); view < call.first() + call.count(); view++) {
                    int top = top(windows, starts, k, view);
                    low = Math.min(low, Math.max(0, top));
                    high =
                            Math.max(
                                    high,
                                    Math.min(windows.y().canvas(), top + windows.viewHeight()));
                }
                first[k][c] = of(low);
                last[k][c] = of(high - 1);
                for (int strip = first[k][c]; strip <= last[k][c]; strip++) {
                    firstCall[strip] = Math.min(firstCall[strip], c);
                    lastCall[strip] = Math.max(lastCall[strip], c);
                }
            }
        }
    }

    /**
     * @param calls of the windows, in the order of their views
     * @param starts int32 [steps, views, 2]: top, left of the windows
     */
    public static CanvasStrips of(
            Stage.Windows windows, List<Stage.Call> calls, MemorySegment starts) {
        int thinnest = Math.ceilDiv(windows.viewHeight(), THINNEST);
        int height = windows.y().canvas();
        int[] lows = new int[calls.size()];
        int low = height;
        for (int c = calls.size() - 1; c >= 0; c--) {
            Stage.Call call = calls.get(c);
            for (int view = call.first(); view < call.first() + call.count(); view++) {
                for (int k = 0; k < windows.steps(); k++) {
                    low = Math.min(low, Math.max(0, top(windows, starts, k, view)));
                }
            }
            lows[c] = low;
        }
        int[] bounds = new int[calls.size() + 1];
        int strips = 0;
        for (int bound : lows) {
            if (bound - bounds[strips] >= thinnest && height - bound >= thinnest) {
                bounds[++strips] = bound;
            }
        }
        bounds[++strips] = height;
        return new CanvasStrips(Arrays.copyOf(bounds, strips + 1), windows, calls, starts);
    }

    /** One strip of all rows. */
    public static CanvasStrips whole(
            Stage.Windows windows, List<Stage.Call> calls, MemorySegment starts) {
        return new CanvasStrips(new int[] {0, windows.y().canvas()}, windows, calls, starts);
    }

    private static int top(Stage.Windows windows, MemorySegment starts, int k, int view) {
        return starts.getAtIndex(ValueLayout.JAVA_INT, 2 * ((long) k * windows.views() + view));
    }

    /** The strip that holds a row. */
    private int of(int row) {
        int strip = 0;
        while (bounds[strip + 1] <= row) {
            strip++;
        }
        return strip;
    }

    public int count() {
        return bounds.length - 1;
    }

    public int firstRow(int strip) {
        return bounds[strip];
    }

    public int rows(int strip) {
        return bounds[strip + 1] - bounds[strip];
    }

    /** The first strip that windows of call {@code c} meet in step {@code k}. */
    public int first(int k, int c) {
        return first[k][c];
    }

    /** The last one; they meet all between. */
    public int last(int k, int c) {
        return last[k][c];
    }

    public boolean meets(int k, int c, int strip) {
        return first[k][c] <= strip && strip <= last[k][c];
    }

    /**
     * Whether call {@code c} may begin its next step.
     *
     * @param progress steps made by the calls and, behind them, by the strips
     */
    public boolean mayDenoise(int c, Progress progress) {
        int k = progress.completed(c);
        return stepped(k, k, c, progress) && (k == 0 || stepped(k, k - 1, c, progress));
    }

    /** Whether the strips that call {@code c} meets in step {@code in} have made {@code k} steps. */
    private boolean stepped(int k, int in, int c, Progress progress) {
        for (int strip = first[in][c]; strip <= last[in][c]; strip++) {
            if (progress.completed(calls + strip) < k) {
                return false;
            }
        }
        return true;
    }

    /**
     * Whether a strip may begin its next step.
     *
     * @param progress steps made by the calls and, behind them, by the strips
     */
    public boolean mayStep(int strip, Progress progress) {
        int k = progress.completed(calls + strip);
        for (int c = firstCall[strip]; c <= lastCall[strip]; c++) {
            if (progress.completed(c) <= k && meets(k, c, strip)) {
                return false;
            }
        }
        return true;
    }

    /** The first call that meets a strip in any step. */
    public int firstCall(int strip) {
        return firstCall[strip];
    }

    /** The last one; not all between need to meet it. */
    public int lastCall(int strip) {
        return lastCall[strip];
    }
}
