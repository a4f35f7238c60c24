// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.StepRow;
import io.github.asg4j.kernel.WindowStep;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * Features of a denoiser that are kept from step to step (DeepCache, arXiv 2312.00858), for the whole canvas:
 * those of all windows are averaged as their noise is, and cut out again by the windows of later steps, which
 * jitter has moved. Conditional and unconditional rows have canvases of their own. Written where noise is
 * written, by calls, and where the canvas is stepped, by strips; so who waits for the one has waited for the
 * other ({@link CanvasStrips}).
 */
final class FeatureCache {
    private final Stage.Windows windows;
    private final List<Stage.Call> calls;
    private final CanvasStrips strips;
    private final int channels;

    /** Features of all windows [views, F, h, w] by row of a view, the conditional one last. */
    private final SharedTensor[] ofViews;

    /** Of them those of a call's views, alike. */
    private final PerCall<MemorySegment[]> ofCall;

    /** Features of the canvas [F, H, W] alike. */
    private final SharedTensor[] ofCanvas;

    /** A step that leaves the average. */
    private final MemorySegment average;

    private final PerWorker<WindowStep> steps;

    /**
     * @param calls of the windows, in the order of their views
     * @param strips that the canvas is stepped in
     * @param channels F
     * @param rows the most of a view in any step
     */
    FeatureCache(
            Stage.Windows windows,
            List<Stage.Call> calls,
            CanvasStrips strips,
            Workers workers,
            int channels,
            int rows) {
        this.windows = windows;
        this.calls = calls;
        this.strips = strips;
        this.channels = channels;
        long view = (long) channels * windows.viewHeight() * windows.viewWidth();
        long[] parts = calls.stream().mapToLong(call -> call.count() * view).toArray();
        long[] floats = new long[strips.count()];
        Arrays.setAll(floats, strip -> (long) strips.rows(strip) * windows.x().canvas());
        ofViews = new SharedTensor[rows];
        ofCanvas = new SharedTensor[rows];
        for (int row = 0; row < rows; row++) {
            ofViews[row] = workers.inParts("features of all windows", parts);
            ofCanvas[row] = workers.inRows("features of the canvas", channels, floats);
        }
        ofCall =
                new PerCall<>(
                        workers.size(),
                        calls.size(),
                        (worker, c) -> {
                            MemorySegment[] own = new MemorySegment[rows];
                            long bytes = view * Float.BYTES;
                            Stage.Call call = calls.get(c);
                            for (int row = 0; row < rows; row++) {
                                MemorySegment all = ofViews[row].on(worker);
                                own[row] = all.asSlice(call.first() * bytes, call.count() * bytes);
                            }
                            return own;
                        });
        average = average(workers.memory());
        steps = new PerWorker<>(workers.size(), worker -> new WindowStep());
    }

    private static MemorySegment average(Memory memory) {
        MemorySegment row = memory.allocate(StepRow.BYTES, "step of features").fill((byte) 0);
        StepRow.set(row, StepRow.PRED_M, 1);
        StepRow.set(row, StepRow.STEP_E, 1);
        return row;
    }

    /** Index of the row {@code copy} of views that have {@code copies}. */
    private int index(int copies, int copy) {
        return ofViews.length - copies + copy;
    }

    /** Keeps what call {@code c} gave beside its noise. */
    void keep(Worker worker, int c, CallBuffers buffers) {
        MemorySegment[] own = ofCall.of(worker, c);
        for (int copy = 0; copy < buffers.copies(); copy++) {
            int row = index(buffers.copies(), copy);
            worker.queue().copy(own[row], buffers.features[copy], own[row].byteSize());
            ofViews[row].publish(worker, c);
        }
    }

    /**
     * Averages a strip of the canvas, once all calls that meet it in step {@code k} have kept theirs.
     *
     * @param starts int32 [views, 2] of the step
     * @param weightY [h]
     * @param weightX [w]
     * @param copies rows of a view
     */
    void join(
            Worker worker,
            int strip,
            int k,
            MemorySegment starts,
            MemorySegment weightY,
            MemorySegment weightX,
            int copies) {
        for (int copy = 0; copy < copies; copy++) {
            SharedTensor all = ofViews[index(copies, copy)];
            for (int c = strips.firstCall(strip); c <= strips.lastCall(strip); c++) {
                if (strips.meets(k, c, strip)) {
                    all.acquire(worker, c);
                }
            }
            SharedTensor canvas = ofCanvas[index(copies, copy)];
            MemorySegment out = canvas.on(worker);
            worker.kernels()
                    .windowStep(
                            steps.of(worker)
                                    .begin(
                                            average,
                                            channels,
                                            windows.y().canvas(),
                                            windows.x().canvas())
                                    .rows(strips.firstRow(strip), strips.rows(strip))
                                    .canvas(out, out)
                                    .windows(
                                            all.on(worker),
                                            starts,
                                            windows.views(),
                                            windows.viewHeight(),
                                            windows.viewWidth())
                                    .weights(weightY, weightX));
            canvas.publish(worker, strip);
        }
    }

    /**
     * Cuts out what the windows of call {@code c} take in step {@code k}; beyond the canvas it is 0, as the
     * latents are.
     *
     * @param starts int32 [views of the call, 2] of the step
     */
    void cut(Worker worker, int c, int k, MemorySegment starts, CallBuffers buffers) {
        for (int copy = 0; copy < buffers.copies(); copy++) {
            SharedTensor canvas = ofCanvas[index(buffers.copies(), copy)];
            for (int strip = strips.first(k, c); strip <= strips.last(k, c); strip++) {
                canvas.acquire(worker, strip);
            }
            worker.kernels()
                    .gatherWindows(
                            buffers.features[copy],
                            canvas.on(worker),
                            channels,
                            windows.y().canvas(),
                            windows.x().canvas(),
                            starts,
                            calls.get(c).count(),
                            windows.viewHeight(),
                            windows.viewWidth(),
                            1,
                            1);
        }
    }
}
