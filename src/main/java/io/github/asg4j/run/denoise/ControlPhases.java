// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * Pictures of controls by views that hold every n-th cell of the canvas: each is shown the whole picture
 * at native size, from where its first cell lies. While pixels are exchanged between views, a view
 * holds cells of all of them, so that it is shown the picture in their mean place.
 */
final class ControlPhases {
    private final int height;
    private final int width;
    private final int views;
    private final IntPredicate exchanged;

    /** By network: [views + 1, 3, h, w], the last one in the mean place. */
    private final SharedTensor[] pictures;

    /**
     * @param down views below each other: view {@code i * right + j} holds the cells {@code (y * down + i,
     *     x * right + j)}
     * @param right views beside each other
     * @param h latent rows of a view
     * @param w latent columns
     * @param exchanged whether pixels are exchanged in a step of the stage
     */
    ControlPhases(StageContext context, int down, int right, int h, int w, IntPredicate exchanged) {
        this.exchanged = exchanged;
        int factor = context.canvas().y().factor();
        height = h * factor;
        width = w * factor;
        views = down * right;
        Workers workers = context.workers();
        List<Controls.Net> nets = context.conditioning().controls().nets();
        pictures = new SharedTensor[nets.size()];
        // Cells of a canvas that is cut otherwise are of another size.
        double rows = (double) context.canvas().height() / (down * h);
        double columns = (double) context.canvas().width() / (right * w);
        for (int net = 0; net < pictures.length; net++) {
            Controls.Frames frames = nets.get(net).frames();
            MemorySegment all =
                    workers.memory().floats((views + 1) * floats(), "pictures of a control");
            for (int view = 0; view < views; view++) {
                int line = view / right;
                double below = (line - (down - 1) / 2.0) * rows;
                double beside = (view % right - (right - 1) / 2.0) * columns;
                picture(all, view).copyFrom(frames.frame(height, width, below, beside));
            }
            picture(all, views).copyFrom(frames.frame(height, width, 0, 0));
            pictures[net] = workers.of(all, "pictures of a control");
        }
    }

    private long floats() {
        return 3L * height * width;
    }

    private MemorySegment picture(MemorySegment all, int view) {
        long bytes = floats() * Float.BYTES;
        return all.asSlice(view * bytes, bytes);
    }

    /** What a worker shows of the views of a call, made once so that the loop allocates nothing. */
    Controls.Views of(Worker worker, Stage.Call call) {
        MemorySegment[][] shown = new MemorySegment[pictures.length][call.count() + 1];
        for (int net = 0; net < pictures.length; net++) {
            MemorySegment all = pictures[net].on(worker);
            for (int i = 0; i < call.count(); i++) {
                shown[net][i] = picture(all, call.first() + i);
            }
            shown[net][call.count()] = picture(all, views);
        }
        long bytes = floats() * Float.BYTES;
        return (net, k, condition, rows) -> {
            boolean mean = exchanged.test(k);
            for (int row = 0; row < rows * call.count(); row++) {
                int view = mean ? call.count() : row % call.count();
                worker.queue().copy(condition.asSlice(row * bytes), shown[net][view], bytes);
            }
        };
    }
}
