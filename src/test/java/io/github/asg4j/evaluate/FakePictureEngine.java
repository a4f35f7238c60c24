// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.AsgException;
import io.github.asg4j.AttentionReport;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.UnaryOperator;

/** Draws pictures of one colour a request, at once, and fails as told. */
final class FakePictureEngine implements PictureEngine {
    static final int NATIVE_WIDTH = 8;
    static final int NATIVE_HEIGHT = 4;

    /** Thrown by plan for a method. */
    final Map<String, AsgException> unplannable = new HashMap<>();

    /** What a method's generation ends with. */
    final Map<String, RuntimeException> failing = new HashMap<>();

    /** Of a method's plan; 1 where nothing is said. */
    final Map<String, Long> bytes = new HashMap<>();

    /** Of the reports of all pictures. */
    UnaryOperator<PictureReport> change = UnaryOperator.identity();

    /** Of the reports of a method's pictures. */
    final Map<String, UnaryOperator<PictureReport>> changeOf = new HashMap<>();

    final List<GenerationRequest> drawn = new ArrayList<>();

    @Override
    public EngineInfo describe() {
        return Reports.engine(new Size(NATIVE_WIDTH, NATIVE_HEIGHT));
    }

    @Override
    public PlanReport plan(GenerationRequest request) {
        AsgException failure = unplannable.get(request.method());
        if (failure != null && request.width() != NATIVE_WIDTH) {
            throw failure;
        }
        return Reports.plan(
                request.method(), size(request), 50, bytes.getOrDefault(request.method(), 1L));
    }

    @Override
    public Generation submit(GenerationRequest request, GenerationListener listener) {
        drawn.add(request);
        listener.onEvent(new GenerationEvent("stage1", 1, 1, 1));
        RuntimeException failure = failing.get(request.method());
        if (failure != null && request.width() != NATIVE_WIDTH) {
            return new Done(CompletableFuture.failedFuture(failure));
        }
        if (listener.wantsAttention()) {
            for (int step = 0; step < 3; step++) {
                listener.onAttention(attention(step));
            }
        }
        return new Done(CompletableFuture.completedFuture(picture(request)));
    }

    private static AttentionReport attention(int step) {
        AttentionReport.Map fine =
                new AttentionReport.Map(
                        "up_blocks.1", 1, 2, FloatBuffer.wrap(new float[] {0.25f, step + 1}));
        AttentionReport.Map mask =
                new AttentionReport.Map("mask", 1, 2, FloatBuffer.wrap(new float[] {0, 1}));
        return new AttentionReport(step, List.of(fine), mask);
    }

    private static Size size(GenerationRequest request) {
        return request.width() == 0
                ? new Size(2 * NATIVE_WIDTH, 2 * NATIVE_HEIGHT)
                : new Size(request.width(), request.height());
    }

    private GeneratedImage picture(GenerationRequest request) {
        int width = size(request).width();
        int height = size(request).height();
        byte[] rgb = new byte[width * height * 3];
        java.util.Arrays.fill(rgb, (byte) drawn.size());
        PictureReport report = Reports.picture(request, size(request));
        report = change.apply(report);
        report = changeOf.getOrDefault(request.method(), UnaryOperator.identity()).apply(report);
        return new GeneratedImage(width, height, ByteBuffer.wrap(rgb), report);
    }

    /** Says nothing and hears everything. */
    static final class Ear implements Gallery.Observer {
        final List<String> heard = new ArrayList<>();

        @Override
        public GenerationListener begins(int index, int of, String name, OptionalInt seconds) {
            return event -> heard.add(index + "/" + of + " " + name);
        }

        @Override
        public void ended(int index, int of, String name, Drawing drawing) {}
    }

    private record Done(CompletableFuture<GeneratedImage> future) implements Generation {
        @Override
        public void cancel() {}

        @Override
        public GeneratedImage join() {
            try {
                return future.join();
            } catch (CompletionException e) {
                throw (RuntimeException) e.getCause();
            }
        }
    }
}
