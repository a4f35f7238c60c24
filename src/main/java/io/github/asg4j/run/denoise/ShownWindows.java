// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** What networks are shown, by windows: cut where the window lies in that step, jitter included. */
final class ShownWindows {
    private static final long START_BYTES = 2L * Integer.BYTES;

    private final Stage.Windows windows;
    private final List<Stage.Call> calls;
    private final List<ShownPicture> shown;
    private final SharedTensor[] pictures;

    /** By picture, int32 [steps, views, 2], its samples. */
    private final SharedTensor[] starts;

    /**
     * @param calls of the windows
     * @param cells where they lie, int32 [steps, views, 2] in host memory, latent cells
     */
    ShownWindows(
            Stage.Windows windows,
            List<Stage.Call> calls,
            StageContext context,
            MemorySegment cells) {
        this.windows = windows;
        this.calls = calls;
        shown = context.conditioning().shown();
        Workers workers = context.workers();
        pictures = new SharedTensor[shown.size()];
        starts = new SharedTensor[shown.size()];
        for (int i = 0; i < pictures.length; i++) {
            int factor = shown.get(i).factor();
            int rows = windows.y().canvas() * factor;
            int columns = windows.x().canvas() * factor;
            MemorySegment frame = shown.get(i).frames().frame(rows, columns, 0, 0);
            pictures[i] = workers.of(frame, "picture that networks are shown");
            starts[i] = workers.of(scaled(workers, cells, factor), "windows of a picture");
        }
    }

    private static MemorySegment scaled(Workers workers, MemorySegment cells, int factor) {
        MemorySegment scaled = workers.memory().allocate(cells.byteSize(), "windows of a picture");
        for (long i = 0; i < cells.byteSize() / Integer.BYTES; i++) {
            int cell = cells.getAtIndex(ValueLayout.JAVA_INT, i);
            scaled.setAtIndex(ValueLayout.JAVA_INT, i, cell * factor);
        }
        return scaled;
    }

    /** What a worker shows of a call's windows, made once so that the loop allocates nothing. */
    ShownPicture.Views of(Worker worker, int c) {
        Stage.Call call = calls.get(c);
        MemorySegment[][] byPicture = new MemorySegment[shown.size()][windows.steps()];
        for (int i = 0; i < byPicture.length; i++) {
            MemorySegment all = starts[i].on(worker);
            for (int k = 0; k < windows.steps(); k++) {
                long first = (long) k * windows.views() + call.first();
                byPicture[i][k] = all.asSlice(first * START_BYTES, call.count() * START_BYTES);
            }
        }
        return (picture, k, out, rows) -> {
            int factor = shown.get(picture).factor();
            worker.kernels()
                    .gatherWindows(
                            out,
                            pictures[picture].on(worker),
                            shown.get(picture).channels(),
                            windows.y().canvas() * factor,
                            windows.x().canvas() * factor,
                            byPicture[picture][k],
                            call.count(),
                            windows.viewHeight() * factor,
                            windows.viewWidth() * factor,
                            1,
                            rows);
        };
    }
}
