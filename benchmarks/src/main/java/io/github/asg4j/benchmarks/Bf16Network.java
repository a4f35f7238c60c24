// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.OpenVinoLibraries;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.model.Manifest;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.CompiledCache;
import io.github.asg4j.ort.OpenVinoProvider;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Tensor;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;

/**
 * A network beside the denoiser in fp32 and bf16 on the CPU, one thread, run in turn: processor time until it
 * can run and of the fastest run, what memory it then holds and the peak of a run above that, the error of
 * bf16. One line of JSON each. ASG_COMPILED_CACHE=0 keeps nothing on disk.
 *
 * <p>{@code Bf16Network MODEL decoder|encoder|text HEIGHT WIDTH RUNS [fp32|bf16]}: latent cells; memory is
 * told where a precision is named, since a process keeps what it has had.
 */
public final class Bf16Network {
    private Bf16Network() {}

    public static void main(String[] args) throws Throwable {
        Path model = args[0].equals("demo") ? null : Path.of(args[0]);
        String kind = args[1];
        int h = Integer.parseInt(args[2]);
        int w = Integer.parseInt(args[3]);
        int runs = Integer.parseInt(args[4]);
        String only = args.length > 5 ? args[5] : "";
        var clock = GuidedStep.clock();
        OpenVinoProvider provider =
                OpenVinoProvider.open(new OpenVinoLibraries().find(), 1, 1, CompiledCache.ofUser());
        try (Bundle bundle = Bundle.open(model, ModelParts.NONE, false);
                Memory memory = new Memory(kind)) {
            Network exact = null;
            Network fast = null;
            if (!only.equals("bf16")) {
                exact = new Network(bundle, kind, Place.cpu(1), "fp32", h, w, memory, clock);
            }
            if (!only.equals("fp32")) {
                Place place = new Place(1, provider, false);
                fast = new Network(bundle, kind, place, "bf16", h, w, memory, clock);
            }
            for (int run = 0; run < runs; run++) {
                if (exact != null) {
                    exact.run();
                }
                if (fast != null) {
                    fast.run();
                }
            }
            if (exact != null) {
                exact.tell(only.equals("fp32"));
            }
            if (fast != null) {
                fast.tell(only.equals("bf16"));
            }
            if (exact != null && fast != null) {
                compare(kind, exact.output, fast.output);
            }
        }
    }

    private static final class Network {
        private final java.lang.invoke.MethodHandle clock;
        private final String name;
        private final double ready;
        private final long held;
        private final MemorySegment output;
        private final OrtSession session;
        private final Binding binding;
        private double first;
        private double fastest = Double.MAX_VALUE;
        private long peak;
        private long after;

        Network(
                Bundle bundle,
                String kind,
                Place place,
                String name,
                int h,
                int w,
                Memory memory,
                java.lang.invoke.MethodHandle clock)
                throws Throwable {
            this.clock = clock;
            this.name = kind + " " + name;
            Manifest manifest = bundle.manifest();
            Manifest.Latent latent = manifest.latent();
            long factor = latent.vaeFactor();
            SplittableRandom random = new SplittableRandom(1);
            long pixels = 3 * h * factor * w * factor;
            long cells = (long) latent.channels() * h * w;
            String file;
            Map<String, Tensor> in;
            if (kind.equals("text")) {
                var entry = manifest.textEncoders().getFirst();
                file = entry.file();
                MemorySegment ids = memory.allocate(8L * entry.length(), "ids");
                for (int i = 0; i < entry.length(); i++) {
                    ids.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextInt(300));
                }
                in = Map.of("input_ids", Tensor.longs(ids, 1, entry.length()));
            } else if (kind.equals("encoder")) {
                file = Objects.requireNonNull(manifest.vae().encoder());
                MemorySegment image = memory.floats(pixels, "image");
                for (long i = 0; i < pixels; i++) {
                    double x = i % (w * factor) / (double) (w * factor);
                    image.setAtIndex(
                            ValueLayout.JAVA_FLOAT,
                            i,
                            (float)
                                    (Math.sin(20 * x + i * 1e-4) * 0.6
                                            + random.nextDouble() * 0.3));
                }
                in = Map.of("image", Tensor.floats(image, 1, 3, h * factor, w * factor));
            } else {
                file = manifest.vae().decoder();
                MemorySegment latents = memory.floats(cells, "latents");
                for (long i = 0; i < cells; i++) {
                    float value = (float) (random.nextGaussian() / latent.scaling());
                    latents.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
                }
                in = Map.of("latents", Tensor.floats(latents, 1, latent.channels(), h, w));
            }
            double start = GuidedStep.cpuMillis(clock);
            session = LoadedModel.session(bundle, file, place);
            var result = session.outputs().firstEntry().getValue();
            long[] shape =
                    switch (kind) {
                        case "decoder" -> new long[] {1, 3, h * factor, w * factor};
                        case "encoder" -> new long[] {1, latent.channels(), h, w};
                        default ->
                                new long[] {
                                    1,
                                    manifest.textEncoders().getFirst().length(),
                                    result.dims().get(2)
                                };
                    };
            long count = 1;
            for (long extent : shape) {
                count *= extent;
            }
            output = memory.floats(count, "output");
            binding = session.bind(in, Map.of(result.name(), Tensor.floats(output, shape)));
            ready = GuidedStep.cpuMillis(clock) - start;
            held = ProcessMemory.bytes("VmRSS");
        }

        void run() throws Throwable {
            long before = ProcessMemory.resetPeak();
            double start = GuidedStep.cpuMillis(clock);
            binding.run();
            double took = GuidedStep.cpuMillis(clock) - start;
            first = first == 0 ? took : first;
            fastest = Math.min(fastest, took);
            peak = Math.max(peak, ProcessMemory.bytes("VmHWM") - before);
            after = ProcessMemory.bytes("VmRSS") - before;
        }

        void tell(boolean withMemory) throws IOException {
            System.out.printf(
                    Locale.ROOT,
                    "{\"network\": \"%s\", \"ready_cpu_ms\": %.0f, \"first_cpu_ms\": %.1f,"
                            + " \"min_cpu_ms\": %.1f%s}%n",
                    name,
                    ready,
                    first,
                    fastest,
                    withMemory
                            ? String.format(
                                    Locale.ROOT,
                                    ", \"held_mib\": %d, \"peak_of_run_mib\": %d,"
                                            + " \"kept_mib\": %d",
                                    held >> 20,
                                    peak >> 20,
                                    after >> 20)
                            : "");
            binding.close();
            session.close();
        }
    }

    private static void compare(String kind, MemorySegment exact, MemorySegment fast) {
        double error = 0;
        double power = 0;
        double levels = 0;
        double most = 0;
        long count = exact.byteSize() / 4;
        for (long i = 0; i < count; i++) {
            double x = exact.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            double y = fast.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            error += (x - y) * (x - y);
            power += x * x;
            double level = level(x) - level(y);
            levels += level * level;
            most = Math.max(most, Math.abs(level));
        }
        System.out.printf(
                Locale.ROOT,
                "{\"network\": \"%s\", \"relative_error\": %.2e, \"power\": %.3g%s}%n",
                kind,
                Math.sqrt(error / power),
                power / count,
                kind.equals("decoder")
                        ? String.format(
                                Locale.ROOT,
                                ", \"psnr_db\": %.1f, \"most_levels\": %.0f",
                                10 * Math.log10(255.0 * 255 * count / levels),
                                most)
                        : "");
    }

    /** The 8-bit level of a pixel of -1 to 1. */
    static double level(double value) {
        return Math.rint(Math.clamp((value + 1) * 127.5, 0, 255));
    }
}
