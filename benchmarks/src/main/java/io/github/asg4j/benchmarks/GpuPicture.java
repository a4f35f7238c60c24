// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.TraceReport;

import java.util.List;
import java.util.Locale;

/**
 * One picture on the GPUs of this machine beside {@code cpu:1}: how far it differs, whether one and
 * several streams give the same bytes, and of each device's time what is the network's, what the
 * kernels' between two of its runs, and what is idle: {@code benchmarks/gpu/picture.sh [MODEL]}.
 */
public final class GpuPicture {
    private static final int RUNS = 3;

    private GpuPicture() {}

    public static void main(String[] arguments) {
        EngineOptions options = EngineOptions.DEFAULT;
        if (arguments.length > 0) {
            options = options.withModel(java.nio.file.Path.of(arguments[0]));
        }
        GenerationRequest request =
                GenerationRequest.builder("a red ball on grass").seed(7).build();
        Drawn cpu = draw(options.withDevices("cpu:1"), request, 1);
        Drawn one = draw(options.withDevices("cuda:0"), request, RUNS);
        Drawn two = draw(options.withDevices("cuda:0,cuda:0"), request, RUNS);
        System.out.println(
                "| device | total, ms | network runs | ms a run | kernels / network | idle |");
        System.out.println("|---|---|---|---|---|---|");
        for (Drawn drawn : List.of(cpu, one, two)) {
            rows(drawn);
        }
        System.out.println("cuda:0 against cpu:1: " + difference(cpu.image(), one.image()));
        boolean same = hash(one).equals(hash(two));
        System.out.println("one stream and two: " + (same ? "the same bytes" : "DIFFERENT BYTES"));
        if (!same) {
            System.exit(1);
        }
    }

    private record Drawn(GeneratedImage image, TraceReport trace) {}

    /** The last of {@code runs} pictures: the first ones load and choose algorithms. */
    private static Drawn draw(EngineOptions options, GenerationRequest request, int runs) {
        try (Engine engine = Engine.open(options)) {
            Tracing tracing = new Tracing();
            GeneratedImage image = engine.submit(request, tracing).join();
            for (int i = 1; i < runs; i++) {
                image = engine.submit(request, tracing).join();
            }
            return new Drawn(image, tracing.trace);
        }
    }

    private static final class Tracing implements GenerationListener {
        private volatile TraceReport trace = new TraceReport(List.of());

        @Override
        public void onEvent(GenerationEvent event) {}

        @Override
        public boolean wantsTrace() {
            return true;
        }

        @Override
        public void onTrace(TraceReport report) {
            trace = report;
        }
    }

    /** Idle is what lies between a device's calls, from its first to its last. */
    private static void rows(Drawn drawn) {
        double total = drawn.image().report().times().total();
        drawn.trace()
                .uses()
                .forEach(
                        (device, use) ->
                                System.out.printf(
                                        Locale.ROOT,
                                        "| %s | %.1f | %d | %.2f | %.2f %% | %.2f %% |%n",
                                        device,
                                        total,
                                        use.runs(),
                                        use.median() / 1e6,
                                        100.0 * use.between() / use.network(),
                                        100.0 * use.idle() / use.total()));
    }

    private static String difference(GeneratedImage a, GeneratedImage b) {
        int largest = 0;
        long sum = 0;
        int n = a.rgb().remaining();
        for (int i = 0; i < n; i++) {
            int d = Math.abs((a.rgb().get(i) & 0xff) - (b.rgb().get(i) & 0xff));
            largest = Math.max(largest, d);
            sum += d;
        }
        return String.format(
                Locale.ROOT, "largest %d of 255 levels, mean %.4f", largest, (double) sum / n);
    }

    private static String hash(Drawn drawn) {
        return drawn.image().report().pixelsSha256();
    }
}
