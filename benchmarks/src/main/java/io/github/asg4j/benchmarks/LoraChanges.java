// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.Lora;
import io.github.asg4j.Size;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * What another weight of a LoRA file costs an open engine, and whether anything is left behind by many: {@code
 * LoraChanges MODEL LORA CHANGES SIZE} draws one step with a new weight each time. Prints a line for a change: seconds of
 * the request, its processor time, milliseconds in which weights were made, and the process's memory. Without changes it
 * tells what the model alone takes.
 */
public final class LoraChanges {
    private static final int WEIGHTS = 50;

    private LoraChanges() {}

    public static void main(String[] arguments) throws Exception {
        Path lora = Path.of(arguments[1]);
        int changes = Integer.parseInt(arguments[2]);
        Size size = Size.parse(arguments[3]);
        EngineOptions options =
                EngineOptions.DEFAULT.withModel(Path.of(arguments[0])).withDevices("cpu:1");
        long begin = System.nanoTime();
        try (Engine engine = Engine.open(options)) {
            line("open", (System.nanoTime() - begin) / 1e9, processorSeconds(), 0);
            for (int change = 0; change <= changes; change++) {
                // The same weight comes back after WEIGHTS changes: a picture's bytes have to come
                // back too.
                double weight = 0.5 + 0.01 * (change % WEIGHTS);
                List<Lora> loras = change == 0 ? List.of() : List.of(new Lora(lora, weight));
                long start = System.nanoTime();
                double before = processorSeconds();
                GeneratedImage image =
                        engine.submit(
                                        GenerationRequest.builder("a ball")
                                                .method("direct")
                                                .size(size.width(), size.height())
                                                .steps(1)
                                                .guidanceScale(1)
                                                .seed(1)
                                                .loras(loras)
                                                .build())
                                .join();
                String name = change == 0 ? "plain" : String.format(Locale.ROOT, "%.2f", weight);
                double seconds = (System.nanoTime() - start) / 1e9;
                line(
                        name + " " + image.report().pixelsSha256().substring(0, 8),
                        seconds,
                        processorSeconds() - before,
                        image.report().times().load());
            }
        }
    }

    private static void line(String what, double seconds, double processor, double load)
            throws IOException {
        System.out.printf(
                Locale.ROOT,
                "%s: %.2f s, %.2f s of processors, weights %.0f ms, resident %d MiB (anonymous %d),"
                        + " peak %d MiB%n",
                what,
                seconds,
                processor,
                load,
                ProcessMemory.bytes("VmRSS") >> 20,
                ProcessMemory.bytes("RssAnon") >> 20,
                ProcessMemory.bytes("VmHWM") >> 20);
    }

    private static double processorSeconds() {
        return ProcessHandle.current()
                .info()
                .totalCpuDuration()
                .map(duration -> duration.toNanos() / 1e9)
                .orElse(Double.NaN);
    }
}
