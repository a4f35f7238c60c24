// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.AsgException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;
import io.github.asg4j.PlanReport;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;
import io.github.asg4j.TraceReport;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.UnaryOperator;

/** An engine that draws grey pictures, remembers what it was asked, and fails as told. */
final class FakeEngines implements EngineFactory {
    static final long SEED = 4_000_000_000L;

    final List<EngineOptions> options = new ArrayList<>();
    final List<GenerationRequest> requests = new ArrayList<>();
    EngineInfo description = Reports.engine(new Size(8, 8));

    /** Of the reports of pictures. */
    UnaryOperator<PictureReport> change = UnaryOperator.identity();

    /** That can be asked for. */
    Set<String> methods = new LinkedHashSet<>(List.of("asg", "direct"));

    /** Thrown by open, if any. */
    AsgException openFailure;

    /** Thrown by the generation, if any. */
    Throwable failure;

    /** Thrown by plan for a method, if any. */
    final Map<String, AsgException> unplannable = new LinkedHashMap<>();

    /** Run before the picture is done. */
    Runnable whileDrawing = () -> {};

    /** A generation ends only when it is cancelled. */
    boolean endless;

    /** Not even then. */
    boolean deaf;

    int open;

    /** What one run of the command line printed and returned. */
    record Result(int code, String out, String err) {}

    Result run(String... args) {
        return run(false, args);
    }

    Result run(boolean terminal, String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Cli cli =
                new Cli(
                        this,
                        new PrintStream(out, true, StandardCharsets.UTF_8),
                        new PrintStream(err, true, StandardCharsets.UTF_8),
                        terminal,
                        () -> SEED);
        int code = cli.run(args);
        return new Result(
                code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    /** The only request so far. */
    GenerationRequest request() {
        if (requests.size() != 1) {
            throw new AssertionError(requests.size() + " requests");
        }
        return requests.getFirst();
    }

    @Override
    public Set<String> methods() {
        return methods;
    }

    @Override
    public Handle open(EngineOptions engineOptions) {
        options.add(engineOptions);
        if (openFailure != null) {
            throw openFailure;
        }
        open++;
        return new Handle() {
            @Override
            public Generation submit(GenerationRequest asked, GenerationListener listener) {
                GenerationRequest request = description.usualMethod().of(asked);
                requests.add(request);
                if (endless) {
                    return new Endless(deaf, whileDrawing, new CompletableFuture<>());
                }
                return new Finished(draw(request, listener));
            }

            @Override
            public PlanReport plan(GenerationRequest asked) {
                GenerationRequest request = description.usualMethod().of(asked);
                requests.add(request);
                AsgException unable = unplannable.get(request.method());
                if (unable != null) {
                    throw unable;
                }
                return Reports.plan(request.method(), size(request), 50, 5);
            }

            @Override
            public EngineInfo describe() {
                return description;
            }

            @Override
            public void close() {
                open--;
            }
        };
    }

    private static Size size(GenerationRequest request) {
        return request.width() == 0 ? new Size(16, 8) : new Size(request.width(), request.height());
    }

    private CompletableFuture<GeneratedImage> draw(
            GenerationRequest request, GenerationListener listener) {
        if (failure != null) {
            return CompletableFuture.failedFuture(failure);
        }
        for (int step = 1; step <= 3; step++) {
            listener.onEvent(new GenerationEvent("stage1", step, 3, step * 1_000_000_000L));
        }
        listener.onEvent(new GenerationEvent("vae", 1, 1, 4_000_000_000L));
        if (listener.wantsTrace()) {
            listener.onTrace(trace());
        }
        whileDrawing.run();
        int width = size(request).width();
        int height = size(request).height();
        PictureReport report = change.apply(Reports.picture(request, size(request)));
        return CompletableFuture.completedFuture(
                new GeneratedImage(width, height, ByteBuffer.allocate(width * height * 3), report));
    }

    private static TraceReport trace() {
        return new TraceReport(
                List.of(
                        new TraceReport.Call("gpu", "stage1", 0, 0, 0, 10_000, 90_000, 100_000),
                        new TraceReport.Call("gpu", "stage1", 1, 0, 200_000, 0, 0, 300_000)));
    }

    private record Finished(CompletableFuture<GeneratedImage> future) implements Generation {
        @Override
        public void cancel() {}

        @Override
        public GeneratedImage join() {
            try {
                return future.join();
            } catch (CompletionException e) {
                if (e.getCause() instanceof AsgException cause) {
                    throw cause;
                }
                throw e;
            }
        }
    }

    /**
     * @param joined run once somebody waits for it: by then Ctrl-C knows what to cancel
     */
    private record Endless(boolean deaf, Runnable joined, CompletableFuture<GeneratedImage> future)
            implements Generation {
        @Override
        public void cancel() {
            if (!deaf) {
                future.completeExceptionally(new CancelledException("cancelled in step 3 of 50"));
            }
        }

        @Override
        public GeneratedImage join() {
            joined.run();
            return new Finished(future).join();
        }
    }
}
