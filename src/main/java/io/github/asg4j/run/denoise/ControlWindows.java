// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** Pictures of controls by windows: each is cut where the window lies in that step, jitter included. */
final class ControlWindows {
    private static final long START_BYTES = 2L * Integer.BYTES;

    private final Stage.Windows windows;
    private final List<Stage.Call> calls;
    private final int factor;
    private final SharedTensor[] pictures;

    /** int32 [steps, views, 2], pixels. */
    private final SharedTensor starts;

    /**
     * @param calls of the windows
     * @param cells where they lie, int32 [steps, views, 2] in host memory, latent cells
     */
    ControlWindows(
            Stage.Windows windows,
            List<Stage.Call> calls,
            StageContext context,
            MemorySegment cells) {
        this.windows = windows;
        this.calls = calls;
        factor = context.canvas().y().factor();
        Workers workers = context.workers();
        List<Controls.Net> nets = context.conditioning().controls().nets();
        pictures = new SharedTensor[nets.size()];
        for (int net = 0; net < pictures.length; net++) {
            int rows = windows.y().canvas() * factor;
            int columns = windows.x().canvas() * factor;
            pictures[net] =
                    workers.of(
                            nets.get(net).frames().frame(rows, columns, 0, 0),
                            "picture of a control");
        }
        MemorySegment pixels = workers.memory().allocate(cells.byteSize(), "windows in pixels");
        for (long i = 0; i < cells.byteSize() / Integer.BYTES; i++) {
            int cell = cells.getAtIndex(ValueLayout.JAVA_INT, i);
            pixels.setAtIndex(ValueLayout.JAVA_INT, i, cell * factor);
        }
        starts = workers.of(pixels, "windows in pixels");
    }

    /** What a worker shows of a call's windows, made once so that the loop allocates nothing. */
    Controls.Views of(Worker worker, int c) {
        Stage.Call call = calls.get(c);
        MemorySegment all = starts.on(worker);
        MemorySegment[] bySteps = new MemorySegment[windows.steps()];
        for (int k = 0; k < bySteps.length; k++) {
            long first = (long) k * windows.views() + call.first();
            bySteps[k] = all.asSlice(first * START_BYTES, call.count() * START_BYTES);
        }
        return (net, k, condition, rows) ->
                worker.kernels()
                        .gatherWindows(
                                condition,
                                pictures[net].on(worker),
                                3,
                                windows.y().canvas() * factor,
                                windows.x().canvas() * factor,
                                bySteps[k],
                                call.count(),
                                windows.viewHeight() * factor,
                                windows.viewWidth() * factor,
                                1,
                                rows);
    }
}
