// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;
import io.github.asg4j.ffi.OpenVinoLibraries;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.CompiledCache;
import io.github.asg4j.ort.OpenVinoProvider;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Place;
import io.github.asg4j.ort.Tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * A guided step, a call of the denoiser with two rows of native size, as a worker on the CPU has it: time
 * until the first, wall and processor time of the fastest of the next, peak memory. One line of JSON.
 *
 * <p>{@code GuidedStep MODEL fp32|bf16 WORKERS THREADS RUNS}: so many workers call at the same time, each
 * with so many threads.
 */
public final class GuidedStep {
    private static final int CLOCK_PROCESS_CPUTIME_ID = 2;

    private GuidedStep() {}

    public static void main(String[] args) throws Throwable {
        Path model = Path.of(args[0]);
        boolean bf16 = args[1].equals("bf16");
        int workers = Integer.parseInt(args[2]);
        int threads = Integer.parseInt(args[3]);
        int runs = Integer.parseInt(args[4]);
        MethodHandle clock = clock();
        long start = System.nanoTime();
        double cpuStart = cpuMillis(clock);
        Place place =
                bf16
                        ? new Place(
                                threads,
                                OpenVinoProvider.open(
                                        new OpenVinoLibraries().find(),
                                        workers,
                                        threads,
                                        CompiledCache.ofUser()),
                                false)
                        : Place.cpu(threads);
        try (Bundle bundle = Bundle.open(model, ModelParts.NONE, false);
                OrtSession session =
                        LoadedModel.session(bundle, bundle.manifest().denoiser().file(), place);
                Memory memory = new Memory("step")) {
            int h = bundle.manifest().latent().nativeHeight();
            int w = bundle.manifest().latent().nativeWidth();
            List<Binding> bindings = new ArrayList<>();
            for (int i = 0; i < workers; i++) {
                bindings.add(bind(session, memory, h, w));
            }
            double ready = (System.nanoTime() - start) / 1e6;
            double readyCpu = cpuMillis(clock) - cpuStart;
            step(bindings);
            double wall = Double.MAX_VALUE;
            double cpu = Double.MAX_VALUE;
            for (int run = 0; run < runs; run++) {
                long began = System.nanoTime();
                double cpuBegan = cpuMillis(clock);
                step(bindings);
                wall = Math.min(wall, (System.nanoTime() - began) / 1e6);
                cpu = Math.min(cpu, (cpuMillis(clock) - cpuBegan) / workers);
            }
            System.out.printf(
                    "{\"engine\": \"asg4j\", \"precision\": \"%s\", \"workers\": %d, \"threads\":"
                            + " %d, \"ready_ms\": %.0f, \"ready_cpu_ms\": %.0f, \"min_ms\": %.1f,"
                            + " \"min_cpu_ms_per_call\": %.1f, \"peak_mib\": %d}%n",
                    args[1],
                    workers,
                    threads,
                    ready,
                    readyCpu,
                    wall,
                    cpu,
                    ProcessMemory.bytes("VmHWM") >> 20);
            bindings.forEach(Binding::close);
        }
    }

    /** One call of every worker at the same time. */
    private static void step(List<Binding> bindings) throws InterruptedException {
        List<Thread> others =
                bindings.subList(1, bindings.size()).stream()
                        .map(binding -> Thread.ofPlatform().start(binding::run))
                        .toList();
        bindings.getFirst().run();
        for (Thread other : others) {
            other.join();
        }
    }

    private static Binding bind(OrtSession session, Memory memory, int h, int w) {
        SplittableRandom random = new SplittableRandom(1);
        Map<String, Tensor> inputs = new HashMap<>();
        session.inputs()
                .forEach(
                        (name, info) -> {
                            long[] shape =
                                    info.dims().stream().mapToLong(Long::longValue).toArray();
                            for (int axis = 0; axis < shape.length; axis++) {
                                int open = shape.length == 4 ? (axis == 2 ? h : w) : 77;
                                shape[axis] = axis == 0 ? 2 : shape[axis] < 0 ? open : shape[axis];
                            }
                            long count = 1;
                            for (long extent : shape) {
                                count *= extent;
                            }
                            MemorySegment data = memory.floats(count, name);
                            for (long i = 0; i < count; i++) {
                                float value =
                                        shape.length == 1 ? 500 : (float) random.nextGaussian();
                                data.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
                            }
                            inputs.put(name, Tensor.floats(data, shape));
                        });
        long channels = session.outputs().get("noise").dims().get(1);
        MemorySegment noise = memory.floats(2 * channels * h * w, "noise");
        return session.bind(inputs, Map.of("noise", Tensor.floats(noise, 2, channels, h, w)));
    }

    /** The JVM's own clock of the process ticks in 10 ms. */
    static MethodHandle clock() {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(
                linker.defaultLookup().find("clock_gettime").orElseThrow(),
                FunctionDescriptor.of(
                        ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
    }

    static double cpuMillis(MethodHandle clock) throws Throwable {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment time = arena.allocate(ValueLayout.JAVA_LONG, 2);
            int ignored = (int) clock.invokeExact(CLOCK_PROCESS_CPUTIME_ID, time);
            return time.getAtIndex(ValueLayout.JAVA_LONG, 0) * 1e3
                    + time.getAtIndex(ValueLayout.JAVA_LONG, 1) / 1e6;
        }
    }
}
