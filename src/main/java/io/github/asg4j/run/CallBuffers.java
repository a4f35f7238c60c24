// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.ort.Binding;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * One worker's inputs and outputs of a UNet call of one shape, bound once. Rows: with
 * classifier-free guidance the unconditional rows of all views, then the conditional ones.
 */
final class CallBuffers implements AutoCloseable {
    final Binding binding;

    /** [rows, C, h, w] */
    final MemorySegment sample;

    /** [views, C, h, w], or NULL without classifier-free guidance. */
    final MemorySegment uncond;

    /** [views, C, h, w] */
    final MemorySegment cond;

    /** Per view [C, h, w] of uncond, or none, and of cond. */
    final MemorySegment[] viewUncond;

    final MemorySegment[] viewCond;

    /** [rows, C, h, w] */
    final MemorySegment noise;

    /** Per mask block [views, h_b, w_b] of the conditional rows. */
    final List<MemorySegment> maps;

    /** Latents of the views before the step: gathered here when they are not in place. */
    final MemorySegment latents;

    /** Step noise, or masks of the views: [views, C, h, w]. */
    final MemorySegment scratch;

    private final Conditioning conditioning;
    private final MemorySegment timestep;
    private final MemorySegment hidden;
    private final @Nullable MemorySegment pooled;
    private final @Nullable MemorySegment timeIds;
    private final @Nullable MemorySegment dilation;

    /** Row of the conditioning that each view's conditional row holds. */
    private final int[] prompts;

    private final int views;
    private final int copies;
    private final int h;
    private final int w;

    CallBuffers(Worker worker, Conditioning c, int views, int copies, int h, int w) {
        this.conditioning = c;
        this.views = views;
        this.copies = copies;
        this.h = h;
        this.w = w;
        int rows = views * copies;
        var denoiser = c.denoiser();
        long plane = (long) denoiser.channels() * h * w;
        sample = worker.floats(rows * plane, "sample");
        noise = worker.floats(rows * plane, "noise");
        latents = worker.floats(views * plane, "latents");
        scratch = worker.floats(views * plane, "scratch");
        timestep = worker.floats(rows, "timestep");
        hidden = rows(worker, c.hidden(), "encoder_hidden_states");
        pooled = c.pooled() == null ? null : rows(worker, c.pooled(), "text_embeds");
        prompts = new int[views];
        Arrays.fill(prompts, Conditioning.PROMPT);
        timeIds = denoiser.hasTimeIds() ? worker.floats(rows * 6L, "time_ids") : null;
        int groups = denoiser.dilationGroups().size();
        dilation = groups > 0 ? worker.floats(groups, "dilation") : null;
        MemorySegment weights = null;
        List<MemorySegment> allMaps = new ArrayList<>();
        maps = new ArrayList<>();
        if (denoiser.hasMaps()) {
            long tokens = c.tokenWeights().byteSize() / 4;
            weights = worker.floats(rows * tokens, "token_weights");
            for (int row = (copies - 1) * views; row < rows; row++) {
                MemorySegment.copy(c.tokenWeights(), 0, weights, row * tokens * 4, tokens * 4);
            }
            for (int block = 0; block < denoiser.mapCount(); block++) {
                long area = (long) denoiser.mapSize(block, h) * denoiser.mapSize(block, w);
                MemorySegment map = worker.floats(rows * area, "map");
                allMaps.add(map);
                maps.add(map.asSlice((rows - views) * area * 4));
            }
        }
        long half = views * plane * 4;
        uncond = copies == 2 ? noise.asSlice(0, half) : MemorySegment.NULL;
        cond = noise.asSlice((copies - 1) * half, half);
        viewUncond = new MemorySegment[copies == 2 ? views : 0];
        viewCond = new MemorySegment[views];
        for (int v = 0; v < views; v++) {
            viewCond[v] = cond.asSlice(v * plane * 4, plane * 4);
            if (copies == 2) {
                viewUncond[v] = uncond.asSlice(v * plane * 4, plane * 4);
            }
        }
        binding =
                denoiser.bind(
                        rows, h, w, sample, timestep, hidden, pooled, timeIds, weights, dilation,
                        noise, allMaps);
    }

    /** The conditioning of every row: copied, since calls of other shapes bind other rows. */
    private MemorySegment rows(Worker worker, MemorySegment all, String label) {
        long row = all.byteSize() / Conditioning.ROWS;
        MemorySegment out = worker.floats((long) views * copies * row / 4, label);
        for (int r = 0; r < views * copies; r++) {
            boolean conditional = r >= (copies - 1) * views;
            long from = conditional ? Conditioning.PROMPT : Conditioning.UNCONDITIONAL;
            MemorySegment.copy(all, from * row, out, r * row, row);
        }
        return out;
    }

    /** Which row of the {@link Conditioning} the conditional row of a view is. */
    void prompt(int view, int row) {
        if (prompts[view] != row) {
            prompts[view] = row;
            copyRow(conditioning.hidden(), row, hidden, view);
            if (pooled != null) {
                copyRow(Objects.requireNonNull(conditioning.pooled()), row, pooled, view);
            }
        }
    }

    private void copyRow(MemorySegment all, int row, MemorySegment out, int view) {
        long bytes = all.byteSize() / Conditioning.ROWS;
        long to = ((copies - 1L) * views + view) * bytes;
        MemorySegment.copy(all, row * bytes, out, to, bytes);
    }

    boolean fits(Conditioning other, int v, int c, int height, int width) {
        return conditioning.denoiser() == other.denoiser()
                && views == v
                && copies == c
                && h == height
                && w == width;
    }

    /** Rows per view: 2 with classifier-free guidance. */
    int copies() {
        return copies;
    }

    /** Factors [G] of a denoiser with run-time dilation. */
    void dilation(MemorySegment factors) {
        Objects.requireNonNull(dilation, "a plain denoiser").copyFrom(factors);
    }

    void timestep(float t) {
        for (int r = 0; r < views * copies; r++) {
            timestep.setAtIndex(ValueLayout.JAVA_FLOAT, r, t);
        }
    }

    /** SDXL's micro-conditioning of one view, in pixels: original = target = the canvas. */
    void timeIds(int view, int heightPixels, int widthPixels, int cropTop, int cropLeft) {
        if (timeIds == null) {
            return;
        }
        for (int copy = 0; copy < copies; copy++) {
            long at = ((long) copy * views + view) * 6;
            timeIds.setAtIndex(ValueLayout.JAVA_FLOAT, at, heightPixels);
            timeIds.setAtIndex(ValueLayout.JAVA_FLOAT, at + 1, widthPixels);
            timeIds.setAtIndex(ValueLayout.JAVA_FLOAT, at + 2, cropTop);
            timeIds.setAtIndex(ValueLayout.JAVA_FLOAT, at + 3, cropLeft);
            timeIds.setAtIndex(ValueLayout.JAVA_FLOAT, at + 4, heightPixels);
            timeIds.setAtIndex(ValueLayout.JAVA_FLOAT, at + 5, widthPixels);
        }
    }

    @Override
    public void close() {
        binding.close();
    }
}
