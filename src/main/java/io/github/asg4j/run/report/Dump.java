// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.report;

import io.github.asg4j.OutputException;
import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Npy;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Plan;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.run.denoise.PatchRun;
import io.github.asg4j.run.denoise.StageRun;
import io.github.asg4j.run.start.Embeddings;
import io.github.asg4j.run.start.StartLatents;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Writes what a generation went through as .npy files: {@code text_hidden} [R, T, D], {@code
 * text_pooled} [R, P] (unconditional, prompt, background prompt, regions), {@code noise} (scaled, [N, C, h,
 * w]), {@code start}, the encoded start picture, [1, C, h, w] of a patch or of the canvas, and per step {@code
 * stage1-KKK-latents} (un-shuffled), {@code -guide}, {@code -mask}, {@code stage2-KKK-latents},
 * {@code phaseS-KKK-latents}; of superres {@code rgb} [3, H, W], the enlarged picture.
 */
public final class Dump {
    private final Path folder;
    private final Canvas canvas;
    private final Kernels kernels;
    private final Memory memory;

    public Dump(@Nullable Path folder, Plan plan, Kernels kernels, Memory memory) {
        this.folder = java.util.Objects.requireNonNull(folder);
        this.canvas = plan.canvas();
        this.kernels = kernels;
        this.memory = memory;
    }

    /**
     * Checks the folder before any work is done.
     *
     * @throws OutputException there is none, or it cannot be written to
     */
    public static void requireFolder(Path folder) {
        if (!(Files.isDirectory(folder) && Files.isWritable(folder))) {
            throw new OutputException(
                    "the dump folder "
                            + folder
                            + " is no folder that can be written to: create it");
        }
    }

    /** Writes all that the stages of a request have kept. */
    public void write(Embeddings texts, StartLatents start, Iterable<StageRun> stages) {
        long rows = (long) texts.rows() * texts.segments();
        long tokens = texts.tokenWeights().byteSize() / 4 / rows;
        long hidden = texts.hidden().byteSize() / 4 / rows / tokens;
        save("text_hidden", texts.hidden(), rows, tokens, hidden);
        if (texts.pooled() != null) {
            save("text_pooled", texts.pooled(), rows, texts.pooled().byteSize() / 4 / rows);
        }
        long c = canvas.channels();
        long h = canvas.y().patch();
        long w = canvas.x().patch();
        save("noise", start.patches(), canvas.patches(), c, h, w);
        if (start.picture().byteSize() > 0) {
            boolean whole = start.picture().byteSize() == start.canvas().byteSize();
            save(
                    "start",
                    start.picture(),
                    1,
                    c,
                    whole ? canvas.height() : h,
                    whole ? canvas.width() : w);
        }
        for (StageRun stage : stages) {
            for (int k = 0; k < stage.stage().steps(); k++) {
                String name = String.format(Locale.ROOT, "%s-%03d-", stage.stage().name(), k);
                MemorySegment latents = stage.latentsAfter(k, kernels, memory);
                if (stage instanceof PatchRun patches) {
                    save(name + "latents", latents, canvas.patches(), c, h, w);
                    if (patches.guides().length > 0) {
                        save(name + "guide", patches.guides()[k].read(memory), c, h, w);
                    }
                    if (patches.masks().length > 0) {
                        save(name + "mask", patches.masks()[k].read(memory), h, w);
                    }
                } else {
                    Stage.Windows own = stage.stage().canvasWindows();
                    long height = own == null ? canvas.height() : own.y().canvas();
                    long width = own == null ? canvas.width() : own.x().canvas();
                    save(name + "latents", latents, 1, c, height, width);
                }
            }
        }
    }

    /** The enlarged picture of the whole canvas, in [0, 1]: {@code rgb} [3, H, W]. */
    public static void picture(@Nullable Path folder, MemorySegment picture, Upscaling upscaling) {
        long[] shape = {3, upscaling.height(), upscaling.width()};
        Path file = java.util.Objects.requireNonNull(folder).resolve("rgb.npy");
        Npy.write(file, Npy.Type.FLOAT32, picture, shape);
    }

    private void save(String name, MemorySegment data, long... shape) {
        Npy.write(folder.resolve(name + ".npy"), Npy.Type.FLOAT32, data, shape);
    }
}
