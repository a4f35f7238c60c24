// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.picture;

import io.github.asg4j.device.Memory;
import io.github.asg4j.kernel.Kernels;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.model.Upscaler;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.plan.Tile;
import io.github.asg4j.plan.Upscaling;
import io.github.asg4j.run.work.Progress;
import io.github.asg4j.run.worker.NonFinite;
import io.github.asg4j.run.worker.Worker;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;

/**
 * A picture enlarged tile by tile. Its units are the tiles of all passes, each taken by whoever is
 * idle; those of a pass are ready when all of the pass before are done. A tile is computed alone and
 * from the same input whoever takes it, so the picture does not depend on the number of workers.
 */
public final class TileRun extends TileUnits implements AutoCloseable {
    public static final String NAME = "upscale";

    private final List<Part> parts = new ArrayList<>();

    /** The upscalers by worker, then by pass. */
    private final List<List<Upscaler>> upscalers = new ArrayList<>();

    private final Kernels kernels;

    /** What goes into a pass, and behind it what comes out of the last: float32 [3, h, w]. */
    private final List<MemorySegment> pictures = new ArrayList<>();

    private final @Nullable TileBuffers[] buffers;
    private final long inFloats;
    private final long outFloats;

    /** A tile of a pass; {@code before}: tiles of all passes before. */
    private record Part(Upscaling.Pass pass, int index, int before, Tile tile) {}

    /**
     * @param networks an upscaler by entry and worker
     * @param picture float32 [3, h, w] in [0, 1], what the first pass takes
     * @param kernels on host memory
     * @param memory for what the passes give
     */
    public TileRun(
            Upscaling upscaling,
            BiFunction<Manifest.Upscaler, Integer, Upscaler> networks,
            MemorySegment picture,
            Kernels kernels,
            int workers,
            Memory memory) {
        super(NAME, upscaling.tiles());
        this.kernels = kernels;
        pictures.add(picture);
        long in = 0;
        long out = 0;
        for (Upscaling.Pass pass : upscaling.passes()) {
            pictures.add(
                    memory.floats(3L * pass.outHeight() * pass.outWidth(), "enlarged picture"));
            int before = parts.size();
            int index = pictures.size() - 2;
            pass.tiles().forEach(tile -> parts.add(new Part(pass, index, before, tile)));
            in = Math.max(in, pass.tileFloats());
            out = Math.max(out, pass.upscaledTileFloats());
        }
        for (int worker = 0; worker < workers; worker++) {
            List<Upscaler> own = new ArrayList<>();
            for (Upscaling.Pass pass : upscaling.passes()) {
                own.add(networks.apply(pass.upscaler(), worker));
            }
            upscalers.add(own);
        }
        inFloats = in;
        outFloats = out;
        buffers = new TileBuffers[workers];
    }

    /** What the last pass gives, float32 [3, h, w] in [0, 1]. */
    public MemorySegment enlarged() {
        return pictures.getLast();
    }

    @Override
    public boolean ready(int unit, Progress progress) {
        for (int i = 0; i < parts.get(unit).before(); i++) {
            if (progress.completed(i) == 0) {
                return false;
            }
        }
        return true;
    }

    @Override
    public boolean execute(Worker worker, int unit, int step) {
        Part part = parts.get(unit);
        Upscaling.Pass pass = part.pass();
        Tile tile = part.tile();
        TileBuffers b = buffers[worker.index()];
        if (b == null) {
            b = new TileBuffers(worker, inFloats, outFloats);
            buffers[worker.index()] = b;
        }
        b.bind(
                upscalers.get(worker.index()).get(part.index()),
                tile.seenHeight(),
                tile.seenWidth());
        copy(
                pictures.get(part.index()),
                pass.height(),
                pass.width(),
                tile.seenTop(),
                tile.seenLeft(),
                b.in,
                tile.seenHeight(),
                tile.seenWidth(),
                0,
                0,
                tile.seenHeight(),
                tile.seenWidth(),
                3);
        b.run(worker);
        NonFinite.check(kernels, b.upscaled, pass.upscaler().file());
        keepCore(b.upscaled, pictures.get(part.index() + 1), pass, tile);
        return true;
    }

    /** Copies what is not border, clamped to [0, 1]. */
    private static void keepCore(
            MemorySegment upscaled, MemorySegment to, Upscaling.Pass pass, Tile tile) {
        int scale = pass.upscaler().scale();
        int top = (tile.top() - tile.seenTop()) * scale;
        int left = (tile.left() - tile.seenLeft()) * scale;
        for (int plane = 0; plane < 3; plane++) {
            for (int y = 0; y < tile.height() * scale; y++) {
                long from =
                        ((long) plane * tile.seenHeight() * scale + top + y)
                                        * tile.seenWidth()
                                        * scale
                                + left;
                long row = (long) plane * pass.outHeight() + (long) tile.top() * scale + y;
                long at = row * pass.outWidth() + (long) tile.left() * scale;
                for (int x = 0; x < tile.width() * scale; x++) {
                    float value = upscaled.getAtIndex(ValueLayout.JAVA_FLOAT, from + x);
                    to.setAtIndex(ValueLayout.JAVA_FLOAT, at + x, Math.clamp(value, 0f, 1f));
                }
            }
        }
    }

    @Override
    public void close() {
        for (TileBuffers b : buffers) {
            if (b != null) {
                b.close();
            }
        }
    }

    /** One worker's tile before and after, bound to one upscaler and size at a time. */
    private static final class TileBuffers implements AutoCloseable {
        private final MemorySegment wholeIn;
        private final MemorySegment wholeOut;
        private MemorySegment in = MemorySegment.NULL;
        private MemorySegment upscaled = MemorySegment.NULL;
        private @Nullable Upscaler bound;
        private @Nullable Binding binding;
        private int height;
        private int width;

        TileBuffers(Worker worker, long inFloats, long outFloats) {
            wholeIn = worker.hostFloats(inFloats, "tile");
            wholeOut = worker.hostFloats(outFloats, "enlarged tile");
        }

        void bind(Upscaler upscaler, int h, int w) {
            if (upscaler == bound && h == height && w == width) {
                return;
            }
            close();
            int scale = upscaler.entry().scale();
            in = wholeIn.asSlice(0, 12L * h * w);
            upscaled = wholeOut.asSlice(0, 12L * h * scale * w * scale);
            binding = upscaler.bind(in, upscaled, h, w);
            bound = upscaler;
            height = h;
            width = w;
        }

        void run(Worker worker) {
            if (binding != null) {
                worker.run(binding);
            }
        }

        @Override
        public void close() {
            if (binding != null) {
                binding.close();
                binding = null;
                bound = null;
            }
        }
    }
}
