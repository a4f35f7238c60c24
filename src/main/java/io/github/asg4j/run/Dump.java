// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Memory;
import io.github.asg4j.image.Npy;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.plan.Canvas;
import io.github.asg4j.plan.Plan;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Writes what a generation went through as .npy files: {@code text_hidden} [2, T, D], {@code
 * text_pooled} [2, P] (unconditional, conditional), {@code noise} (scaled, [N, C, h, w]), and per
 * step {@code stage1-KKK-latents} (un-shuffled), {@code -guide}, {@code -mask}, {@code
 * stage2-KKK-latents}.
 */
final class Dump {
    private final Path folder;
    private final Canvas canvas;
    private final Kernels kernels;
    private final Memory memory;

    Dump(@Nullable Path folder, Plan plan, Kernels kernels, Memory memory) {
        this.folder = java.util.Objects.requireNonNull(folder);
        this.canvas = plan.canvas();
        this.kernels = kernels;
        this.memory = memory;
    }

    void write(Conditioning conditioning, MemorySegment noise, Iterable<StageRun> stages) {
        long tokens = conditioning.tokenWeights().byteSize() / 4;
        long hidden = conditioning.hidden().byteSize() / 8 / tokens;
        save("text_hidden", conditioning.hidden(), 2, tokens, hidden);
        if (conditioning.pooled() != null) {
            save("text_pooled", conditioning.pooled(), 2, conditioning.pooled().byteSize() / 8);
        }
        long c = canvas.channels();
        long h = canvas.y().patch();
        long w = canvas.x().patch();
        save("noise", noise, canvas.patches(), c, h, w);
        for (StageRun stage : stages) {
            for (int k = 0; k < stage.stage.steps(); k++) {
                String name = String.format(Locale.ROOT, "%s-%03d-", stage.stage.name(), k);
                MemorySegment latents = stage.latentsAfter(k, kernels, memory);
                if (stage instanceof PatchRun patches) {
                    save(name + "latents", latents, canvas.patches(), c, h, w);
                    if (patches.guides().length > 0) {
                        save(name + "guide", patches.guides()[k], c, h, w);
                    }
                    if (patches.masks().length > 0) {
                        save(name + "mask", patches.masks()[k], h, w);
                    }
                } else {
                    save(name + "latents", latents, 1, c, canvas.height(), canvas.width());
                }
            }
        }
    }

    private void save(String name, MemorySegment data, long... shape) {
        Npy.write(folder.resolve(name + ".npy"), Npy.Type.FLOAT32, data, shape);
    }
}
