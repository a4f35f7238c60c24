// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;

import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * One picture on the GPUs of this machine beside {@code cpu:1}: how far it differs, whether one and
 * several streams give the same bytes, and what of a device's time is the network's and what the
 * kernels' between two of its calls: {@code benchmarks/gpu/picture.sh [MODEL]}.
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
        GeneratedImage cpu = draw(options.withDevices("cpu:1"), request, 1);
        GeneratedImage one = draw(options.withDevices("cuda:0"), request, RUNS);
        GeneratedImage two = draw(options.withDevices("cuda:0,cuda:0"), request, RUNS);
        System.out.println("| devices | total, ms | UNet, ms | kernels, ms | kernels / UNet |");
        System.out.println("|---|---|---|---|---|");
        for (GeneratedImage image : List.of(cpu, one, two)) {
            row(image);
        }
        System.out.println("cuda:0 against cpu:1: " + difference(cpu, one));
        boolean same = hash(one).equals(hash(two));
        System.out.println("one stream and two: " + (same ? "the same bytes" : "DIFFERENT BYTES"));
        if (!same) {
            System.exit(1);
        }
    }

    /** The last of {@code runs} pictures: the first ones load and choose algorithms. */
    private static GeneratedImage draw(EngineOptions options, GenerationRequest request, int runs) {
        try (Engine engine = Engine.open(options)) {
            GeneratedImage image = engine.submit(request).join();
            for (int i = 1; i < runs; i++) {
                image = engine.submit(request).join();
            }
            return image;
        }
    }

    private static void row(GeneratedImage image) {
        Map<?, ?> times = (Map<?, ?>) image.report().get("times_ms");
        double unet = ((Number) times.get("unet")).doubleValue();
        double kernels = ((Number) times.get("kernels")).doubleValue();
        System.out.printf(
                Locale.ROOT,
                "| %s | %.1f | %.1f | %.2f | %.2f %% |%n",
                image.report().get("devices"),
                ((Number) times.get("total")).doubleValue(),
                unet,
                kernels,
                100 * kernels / unet);
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

    private static Object hash(GeneratedImage image) {
        return String.valueOf(image.report().get("pixels_sha256"));
    }
}
