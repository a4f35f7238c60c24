// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import com.sun.management.OperatingSystemMXBean;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.GenerationRequest;

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

import java.lang.management.ManagementFactory;
import java.util.concurrent.TimeUnit;

/** A whole picture of the demo at twice its native size, 20 steps, on one core. */
@State(Scope.Thread)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2)
@Measurement(iterations = 3)
@Fork(1)
public class PictureBenchmark {
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    @Param({"asg", "multidiffusion", "cutdiffusion", "direct"})
    public String method;

    private Engine engine;
    private GenerationRequest request;

    @Setup
    public void open() {
        engine = Engine.open(EngineOptions.DEFAULT.withDevices("cpu:1").withThreadsPerWorker(1));
        request =
                GenerationRequest.builder("a red ball on grass")
                        .method(method)
                        .size(256, 256)
                        .steps(20)
                        .seed(7)
                        .build();
    }

    @TearDown
    public void close() {
        engine.close();
    }

    /** The time is that of the process: a worker has a thread of its own. */
    @Benchmark
    public Object picture(Clock clock) {
        long before = SYSTEM.getProcessCpuTime();
        Object picture = engine.submit(request).join();
        clock.add(SYSTEM.getProcessCpuTime() - before, 1);
        return picture;
    }
}
