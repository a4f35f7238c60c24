// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.model.Denoiser;
import io.github.asg4j.model.InputRole;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.run.worker.CallsInFlight;
import io.github.asg4j.run.worker.SharedTensor;
import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * One worker's inputs and outputs of a UNet call of one shape, bound once. Rows: with
 * classifier-free guidance the unconditional rows of all views, then the conditional ones;
 * then rows that only make the shape that of all calls.
 */
public final class CallBuffers implements AutoCloseable {
    private final Binding binding;

    /** The outermost layers alone, which read {@link #features}; null: it is never run so. */
    private final @Nullable Binding shallow;

    /** Null: the network is not controlled. */
    private final @Nullable ControlBuffers controls;

    /** [rows, 1 + C, h, w] of a network for inpainting; null: it is none. */
    private final @Nullable MemorySegment masked;

    /** Index of what {@link #masked} holds in {@link Conditioning#shown}. */
    private final int maskedPicture;

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

    /** Features [views, F, h, w] by row of a view: written by the whole network, read by its outermost layers; or none. */
    final MemorySegment[] features;

    /** Per mask block [views, h_b, w_b] of the conditional rows. */
    final List<MemorySegment> maps;

    /** Latents of the views before the step: gathered here when they are not in place. */
    final MemorySegment latents;

    /** Step noise, or masks of the views: [views, C, h, w]. */
    final MemorySegment scratch;

    private final Worker worker;
    private final Conditioning conditioning;

    /** Inputs that hold a row of the {@link Conditioning} per row, by role. */
    private final Map<InputRole, MemorySegment> promptRows = new EnumMap<>(InputRole.class);

    /** What the host writes before a call, in one block: inputs of a few values per row. */
    private final MemorySegment small;

    /** Its contents on the host's side, for each call in flight. */
    private final MemorySegment[] staged = new MemorySegment[CallsInFlight.DEPTH];

    /** The input of each role in it, for each call in flight; empty where there is none. */
    private final MemorySegment[] timestep;

    private final MemorySegment[] place;

    private final Manifest.@Nullable AestheticScores scores;

    /** Factors of a denoiser with run-time dilation, in host memory: a run has read them when it returns. */
    private final MemorySegment dilation;

    /** Row of the conditioning, within its segment, that each view's conditional row holds. */
    private final int[] prompts;

    /** Of the prompts that the rows hold. */
    private int segment;

    private final int views;
    private final int room;
    private final int copies;
    private final int h;
    private final int w;

    /**
     * @param room views that the network is run with; what the rows beyond give is not looked at
     */
    private CallBuffers(
            Worker worker, Conditioning c, int views, int room, int copies, int h, int w) {
        this.worker = worker;
        this.conditioning = c;
        this.views = views;
        this.room = room;
        this.copies = copies;
        this.h = h;
        this.w = w;
        int rows = room * copies;
        Denoiser denoiser = c.denoiser(worker);
        long plane = (long) denoiser.channels() * h * w;
        sample = worker.floats(rows * plane, "sample");
        noise = worker.floats(rows * plane, "noise");
        long featurePlane = (long) denoiser.featureChannels() * h * w;
        boolean cut = featurePlane > 0;
        MemorySegment feature =
                cut ? worker.floats(rows * featurePlane, "features") : MemorySegment.NULL;
        features = new MemorySegment[cut ? copies : 0];
        for (int copy = 0; copy < features.length; copy++) {
            long bytes = views * featurePlane * Float.BYTES;
            features[copy] = feature.asSlice(copy * bytes, bytes);
        }
        latents = worker.floats(views * plane, "latents");
        scratch = worker.floats(views * plane, "scratch");
        prompts = new int[views];
        Arrays.fill(prompts, Conditioning.PROMPT);
        dilation = worker.hostFloats(denoiser.dilationGroups().size(), "dilation");
        Map<InputRole, MemorySegment> inputs = new EnumMap<>(InputRole.class);
        Map<InputRole, Span> spans = new EnumMap<>(InputRole.class);
        long bytes = 0;
        masked =
                denoiser.inpaints()
                        ? worker.floats(rows * (plane + (long) h * w), "mask and masked picture")
                        : null;
        maskedPicture = c.controls().nets().size();
        for (Manifest.Input input : denoiser.inputs()) {
            InputRole role = input.role();
            switch (role) {
                case SAMPLE -> inputs.put(role, sample);
                case INPAINT -> inputs.put(role, Objects.requireNonNull(masked));
                case TEXT, POOLED, TOKEN_WEIGHTS -> {
                    MemorySegment all = rows(c.rows(role), input.name());
                    promptRows.put(role, all);
                    inputs.put(role, all);
                }
                case TIMESTEP, PLACE, GUIDANCE -> {
                    long size = (long) rows * denoiser.rowWidth(input) * Float.BYTES;
                    Span span = new Span(aligned(bytes), size);
                    spans.put(role, span);
                    bytes = span.at + size;
                }
            }
        }
        small = worker.floats(bytes / Float.BYTES, "scalars of a call");
        spans.forEach((role, span) -> inputs.put(role, small.asSlice(span.at, span.bytes)));
        for (int slot = 0; slot < CallsInFlight.DEPTH; slot++) {
            staged[slot] =
                    worker.onHost() ? small : worker.staging(small.byteSize(), "scalars of a call");
        }
        timestep = staged(spans.get(InputRole.TIMESTEP));
        place = staged(spans.get(InputRole.PLACE));
        scores = denoiser.aestheticScores();
        for (MemorySegment guidance : staged(spans.get(InputRole.GUIDANCE))) {
            GuidanceEmbedding.write(guidance, rows, c.guidanceScale());
        }
        List<MemorySegment> allMaps = new ArrayList<>();
        maps = new ArrayList<>();
        for (int block = 0; block < denoiser.mapCount(); block++) {
            long area = (long) denoiser.mapSize(block, h) * denoiser.mapSize(block, w);
            MemorySegment map = worker.floats(rows * area, "map");
            allMaps.add(map);
            maps.add(map.asSlice((copies - 1L) * views * area * 4, views * area * 4));
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
        controls =
                c.controls().isEmpty()
                        ? null
                        : new ControlBuffers(worker, c.controls(), inputs, rows, h, w);
        binding =
                denoiser.bind(
                        rows,
                        h,
                        w,
                        inputs,
                        denoiser.dilationGroups().isEmpty() ? null : dilation,
                        controls == null ? List.of() : controls.residuals(),
                        noise,
                        allMaps,
                        feature);
        shallow = cut ? denoiser.bindShallow(rows, h, w, inputs, feature, noise) : null;
    }

    /** Where an input lies in the block of {@link #small}. */
    private record Span(long at, long bytes) {}

    /** An input on the host's side, for each call in flight; null: the network does not take it. */
    private MemorySegment[] staged(@Nullable Span span) {
        MemorySegment[] slots = new MemorySegment[CallsInFlight.DEPTH];
        for (int slot = 0; slot < slots.length; slot++) {
            slots[slot] =
                    span == null ? MemorySegment.NULL : staged[slot].asSlice(span.at, span.bytes);
        }
        return slots;
    }

    private static long aligned(long bytes) {
        return Math.ceilDiv(bytes, Memory.ALIGNMENT) * Memory.ALIGNMENT;
    }

    /** The conditioning of every row: copied, since calls of other shapes bind other rows. */
    private MemorySegment rows(SharedTensor all, String label) {
        MemorySegment out = worker.floats((long) room * copies * rowBytes(all) / 4, label);
        fill(all, out);
        return out;
    }

    private long rowBytes(SharedTensor all) {
        return all.byteSize() / ((long) conditioning.rows() * conditioning.segments());
    }

    private void fill(SharedTensor all, MemorySegment out) {
        for (int r = 0; r < views * copies; r++) {
            boolean conditional = r >= (copies - 1) * views;
            int row = conditional ? prompts[r % views] : Conditioning.UNCONDITIONAL;
            copyRow(all, row, out, r);
        }
    }

    /** Which segment of the {@link Conditioning} all rows are of. */
    public void segment(int number) {
        if (segment != number) {
            segment = number;
            promptRows.forEach((role, all) -> fill(conditioning.rows(role), all));
        }
    }

    /** Which row of its segment of the {@link Conditioning} the conditional row of a view is. */
    public void prompt(int view, int row) {
        if (prompts[view] != row) {
            prompts[view] = row;
            int to = (copies - 1) * views + view;
            promptRows.forEach((role, all) -> copyRow(conditioning.rows(role), row, all, to));
        }
    }

    private void copyRow(SharedTensor all, int row, MemorySegment out, int to) {
        long bytes = rowBytes(all);
        long from = ((long) segment * conditioning.rows() + row) * bytes;
        worker.queue().copy(out.asSlice(to * bytes), all.on(worker).asSlice(from), bytes);
    }

    private boolean fits(Conditioning other, int v, int r, int c, int height, int width) {
        return conditioning.denoiser(worker) == other.denoiser(worker)
                && views == v
                && room == r
                && copies == c
                && h == height
                && w == width;
    }

    public int views() {
        return views;
    }

    /** Rows per view: 2 with classifier-free guidance. */
    public int copies() {
        return copies;
    }

    /** Factors [G] of a denoiser with run-time dilation, in host memory. */
    public void dilation(MemorySegment factors) {
        dilation.copyFrom(factors);
    }

    public void timestep(float t) {
        MemorySegment out = timestep[worker.calls().slot()];
        for (int r = 0; r < room * copies; r++) {
            out.setAtIndex(ValueLayout.JAVA_FLOAT, r, t);
        }
    }

    /**
     * SDXL's micro-conditioning of one view, in pixels: original = target = the size that is told. The
     * refiner is told an aesthetic score in the place of the target.
     */
    public void timeIds(int view, int heightPixels, int widthPixels, int cropTop, int cropLeft) {
        MemorySegment out = place[worker.calls().slot()];
        if (out.byteSize() == 0) {
            return;
        }
        for (int copy = 0; copy < copies; copy++) {
            long at = ((long) copy * views + view) * (scores == null ? 6 : 5);
            out.setAtIndex(ValueLayout.JAVA_FLOAT, at, heightPixels);
            out.setAtIndex(ValueLayout.JAVA_FLOAT, at + 1, widthPixels);
            out.setAtIndex(ValueLayout.JAVA_FLOAT, at + 2, cropTop);
            out.setAtIndex(ValueLayout.JAVA_FLOAT, at + 3, cropLeft);
            if (scores == null) {
                out.setAtIndex(ValueLayout.JAVA_FLOAT, at + 4, heightPixels);
                out.setAtIndex(ValueLayout.JAVA_FLOAT, at + 5, widthPixels);
            } else {
                boolean conditional = copy == copies - 1;
                double score = conditional ? scores.prompt() : scores.negative();
                out.setAtIndex(ValueLayout.JAVA_FLOAT, at + 4, (float) score);
            }
        }
    }

    /**
     * Hands the device what was set for the call, and runs the network, its control networks before it.
     *
     * @param t step of the schedule
     * @param k step of the stage
     * @param whole whether the whole network is run, not its outermost layers alone
     * @param shown what networks are shown beside the latents; null: nothing
     */
    public void run(int t, int k, boolean whole, ShownPicture.@Nullable Views shown) {
        worker.queue().upload(small, staged[worker.calls().slot()], small.byteSize());
        worker.beginNetworks();
        try {
            if (masked != null) {
                Objects.requireNonNull(shown, "masked picture")
                        .show(maskedPicture, k, masked, copies);
            }
            if (controls != null) {
                controls.run(t, k, Objects.requireNonNull(shown, "views of controls"), copies);
            }
            if (whole) {
                worker.run(binding);
                worker.countViews(views);
            } else {
                worker.run(Objects.requireNonNull(shallow, "outermost layers"));
            }
        } finally {
            worker.endNetworks();
        }
    }

    @Override
    public void close() {
        binding.close();
        if (shallow != null) {
            shallow.close();
        }
        if (controls != null) {
            controls.close();
        }
    }

    /** The buffers of a request's workers: calls of one shape share those of their worker. */
    public static final class Pool {
        private final List<List<CallBuffers>> byWorker = new ArrayList<>();

        /**
         * @param workers how many there are
         */
        public Pool(int workers) {
            for (int i = 0; i < workers; i++) {
                byWorker.add(new ArrayList<>());
            }
        }

        /**
         * A worker's buffers for calls of this shape, made on first use and closed with the worker; for
         * the worker's thread.
         *
         * @param copies rows per view
         * @param h latent rows of a view
         * @param w latent columns
         */
        public CallBuffers of(
                Worker worker,
                Conditioning conditioning,
                Stage.Call call,
                int copies,
                int h,
                int w) {
            int views = call.count();
            int room = worker.onHost() ? views : call.room();
            List<CallBuffers> own = byWorker.get(worker.index());
            for (CallBuffers b : own) {
                if (b.fits(conditioning, views, room, copies, h, w)) {
                    return b;
                }
            }
            CallBuffers b =
                    worker.own(new CallBuffers(worker, conditioning, views, room, copies, h, w));
            own.add(b);
            return b;
        }
    }
}
