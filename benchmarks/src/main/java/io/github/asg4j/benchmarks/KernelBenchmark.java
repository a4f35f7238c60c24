// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import io.github.asg4j.device.Memory;

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

import java.util.concurrent.TimeUnit;

/**
 * Every kernel of the {@link KernelCatalogue} on one core, and with {@code -p implementation=cuda} on
 * a GPU. {@link Report} runs what the machine has and makes the table of NOTES.md.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 7, time = 100, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class KernelBenchmark {
    private static final int SMALLEST_TOGETHER = 1000;

    /** Side of the latents: 256 is a picture of 2048 x 2048, 2048 makes tensors of 64 MB. */
    @Param("256")
    public int side;

    @Param public KernelCatalogue.Kernel kernel;

    @Param({"java", "scalar", "avx2", "avx512"})
    public String implementation;

    private Place place;
    private Memory host;
    private int together;
    private Runnable work;

    @Setup
    public void prepare() {
        place = Place.open(implementation);
        host = new Memory("host arguments");
        Runnable call = new KernelCatalogue(place, host, side).of(kernel).call();
        together =
                kernel == KernelCatalogue.Kernel.SMALLEST_CALL
                        ? SMALLEST_TOGETHER
                        : place.together();
        work =
                () -> {
                    for (int i = 0; i < together; i++) {
                        call.run();
                    }
                };
    }

    @TearDown
    public void close() {
        place.close();
        host.close();
    }

    @Benchmark
    public void call(Clock clock) {
        clock.add(place.nanos(work), together);
    }
}
