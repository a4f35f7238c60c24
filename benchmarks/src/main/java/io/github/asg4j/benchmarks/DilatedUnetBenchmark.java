// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.ModelParts;
import io.github.asg4j.device.Memory;
import io.github.asg4j.model.Bundle;
import io.github.asg4j.model.Denoiser;
import io.github.asg4j.model.InputRole;
import io.github.asg4j.model.LoadedModel;
import io.github.asg4j.ort.Binding;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * What run-time dilation costs: a pair of rows of the demo's UNet at twice its native size, by the
 * plain graph, by the dilated one with every factor 1, and with the factors of scalecrafter. On a
 * busy machine compare {@code cpuNanos} per {@code calls} instead of the time.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 3)
@Measurement(iterations = 5, time = 3)
@Fork(1)
public class DilatedUnetBenchmark {
    private static final int ROWS = 2;
    private static final int SIDE = 32;
    private static final int TOKENS = 32;
    private static final int WIDTH = 128;

    /** Factors of all groups, or of all but the outermost level. */
    @Param({"plain", "1", "2"})
    public String dilation;

    private Memory memory;
    private LoadedModel model;
    private Binding binding;

    /** CPU time of the thread, and over how many calls. */
    @AuxCounters(AuxCounters.Type.EVENTS)
    @State(Scope.Thread)
    public static class Cpu {
        public long cpuNanos;
        public long calls;
    }

    @Setup
    public void load() {
        memory = new Memory("benchmark");
        model = LoadedModel.open(Bundle.open(null, ModelParts.NONE, false), 1);
        Denoiser denoiser = dilation.equals("plain") ? model.denoiser() : model.dilatedDenoiser();
        binding =
                denoiser.bind(
                        ROWS,
                        SIDE,
                        SIDE,
                        Map.of(
                                InputRole.SAMPLE, random(ROWS * 4 * SIDE * SIDE),
                                InputRole.TIMESTEP, filled(ROWS, 500),
                                InputRole.TEXT, random(ROWS * TOKENS * WIDTH),
                                InputRole.POOLED, random(ROWS * WIDTH),
                                InputRole.PLACE, filled(ROWS * 6, 256),
                                InputRole.TOKEN_WEIGHTS, filled(ROWS * TOKENS, 0)),
                        dilation.equals("plain") ? null : factors(denoiser.dilationGroups()),
                        List.of(),
                        memory.floats(ROWS * 4 * SIDE * SIDE, "noise"),
                        List.of());
    }

    private MemorySegment factors(List<String> groups) {
        MemorySegment factors = filled(groups.size(), 1);
        for (int g = 0; g < groups.size(); g++) {
            String group = groups.get(g);
            if (!group.startsWith("down_blocks.0") && !group.equals("up_blocks.2")) {
                factors.setAtIndex(ValueLayout.JAVA_FLOAT, g, Float.parseFloat(dilation));
            }
        }
        return factors;
    }

    private MemorySegment random(int count) {
        Random random = new Random(1);
        MemorySegment values = memory.floats(count, "input");
        for (int i = 0; i < count; i++) {
            values.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
        return values;
    }

    private MemorySegment filled(int count, float value) {
        MemorySegment values = memory.floats(count, "input");
        for (int i = 0; i < count; i++) {
            values.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        }
        return values;
    }

    @TearDown
    public void close() {
        binding.close();
        model.close();
        memory.close();
    }

    @Benchmark
    public void unet(Cpu cpu) {
        long before = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
        binding.run();
        cpu.cpuNanos += ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - before;
        cpu.calls++;
    }
}
