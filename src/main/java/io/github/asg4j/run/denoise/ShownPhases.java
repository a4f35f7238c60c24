// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;
import io.github.asg4j.run.worker.Workers;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * What networks are shown, by views that hold every n-th cell of the canvas: each is shown the whole
 * picture at the view's size, from where its first cell lies. While pixels are exchanged between views, a
 * view holds cells of all of them, so that it is shown the picture in their mean place.
 */
final class ShownPhases {
    private final List<ShownPicture> shown;
    private final int height;
    private final int width;
    private final int views;
    private final IntPredicate exchanged;

    /** By picture: [views, channels, h * factor, w * factor], and once more in the mean place. */
    private final SharedTensor[] pictures;

    /**
     * @param stage of the views
     * @param down views below each other: view {@code i * right + j} holds the cells {@code (y * down + i,
     *     x * right + j)}
     * @param right views beside each other
     * @param h latent rows of a view
     * @param w latent columns
     * @param exchanged whether pixels are exchanged in a step of the stage
     */
    ShownPhases(
            StageContext context,
            Stage stage,
            int down,
            int right,
            int h,
            int w,
            IntPredicate exchanged) {
        this.exchanged = exchanged;
        shown = context.conditioning().shown();
        height = h;
        width = w;
        views = down * right;
        Workers workers = context.workers();
        pictures = new SharedTensor[shown.size()];
        // Cells of a canvas that is cut otherwise are of another size.
        double rows = (double) context.canvas().height() / (down * h);
        double columns = (double) context.canvas().width() / (right * w);
        int frames = IntStream.range(0, stage.steps()).anyMatch(exchanged) ? views + 1 : views;
        for (int i = 0; i < pictures.length; i++) {
            ShownPicture picture = shown.get(i);
            int samples = picture.factor();
            MemorySegment all =
                    workers.memory().floats(frames * picture.floats(h, w), "pictures for networks");
            for (int view = 0; view < frames; view++) {
                boolean mean = view == views;
                int line = view / right;
                int column = view % right;
                double below = mean ? 0 : (line - (down - 1) / 2.0) * rows;
                double beside = mean ? 0 : (column - (right - 1) / 2.0) * columns;
                part(all, picture, view)
                        .copyFrom(picture.frames().frame(h * samples, w * samples, below, beside));
            }
            pictures[i] = workers.of(all, "pictures for networks");
        }
    }

    private MemorySegment part(MemorySegment all, ShownPicture picture, int view) {
        long bytes = picture.floats(height, width) * Float.BYTES;
        return all.asSlice(view * bytes, bytes);
    }

    /** What a worker shows of the views of a call, made once so that the loop allocates nothing. */
    ShownPicture.Views of(Worker worker, Stage.Call call) {
        MemorySegment[][] parts = new MemorySegment[pictures.length][];
        for (int i = 0; i < parts.length; i++) {
            ShownPicture picture = shown.get(i);
            MemorySegment all = pictures[i].on(worker);
            long frames = all.byteSize() / part(all, picture, 0).byteSize();
            parts[i] =
                    IntStream.range(0, (int) frames)
                            .mapToObj(view -> part(all, picture, view))
                            .toArray(MemorySegment[]::new);
        }
        return (picture, k, out, rows) -> {
            boolean mean = exchanged.test(k);
            for (int row = 0; row < rows * call.count(); row++) {
                MemorySegment part =
                        parts[picture][mean ? views : call.first() + row % call.count()];
                long bytes = part.byteSize();
                worker.queue().copy(out.asSlice(row * bytes), part, bytes);
            }
        };
    }
}
