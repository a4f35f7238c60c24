// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.spark;

import io.github.asg4j.DeviceException;
import io.github.asg4j.Engine;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.Generation;
import io.github.asg4j.GenerationRequest;

import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Function;

/**
 * The engine of this executor: opened by the first task, shared by all, closed when the process ends.
 * Tasks that are given GPUs of their own have an engine for each set of them.
 *
 * @param draws submits a request
 * @param info what it is
 * @param closes frees its memory
 */
record ExecutorEngine(
        Function<GenerationRequest, Generation> draws, EngineInfo info, Runnable closes) {
    /** Of a process whose device is lost: as the command line has it for devices. */
    static final int EXIT_CODE = 4;

    /** Name of the executor that is the driver. */
    private static final String DRIVER = "driver";

    private static final System.Logger LOG = System.getLogger(ExecutorEngine.class.getName());
    private static final Map<EngineOptions, ExecutorEngine> OPEN = new HashMap<>();
    private static Function<EngineOptions, ExecutorEngine> opener = ExecutorEngine::open;

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(ExecutorEngine::closeAll, "asg-close"));
    }

    /** The engine for a task of this executor. */
    static ExecutorEngine of(EngineSettings settings, TaskContext task) {
        SparkEnv env = SparkEnv.get();
        int cores =
                env.conf()
                        .getInt("spark.executor.cores", Runtime.getRuntime().availableProcessors());
        EngineOptions options = settings.options(task.resourcesJMap(), cores);
        synchronized (OPEN) {
            ExecutorEngine there = OPEN.get(options);
            if (there == null) {
                there = opener.apply(options);
                OPEN.put(options, there);
                LOG.log(
                        System.Logger.Level.INFO,
                        "executor "
                                + env.executorId()
                                + " draws on "
                                + String.join(", ", there.info.devices()));
            }
            return there;
        }
    }

    static ExecutorEngine open(EngineOptions options) {
        Engine engine = Engine.open(options);
        return new ExecutorEngine(engine::submit, engine.describe(), engine::close);
    }

    /** Engines of tests, which fail as they are told to; closes those that are open. */
    static void openWith(Function<EngineOptions, ExecutorEngine> other) {
        closeAll();
        synchronized (OPEN) {
            opener = other;
        }
    }

    private static void closeAll() {
        synchronized (OPEN) {
            OPEN.values().forEach(engine -> engine.closes.run());
            OPEN.clear();
        }
    }

    /**
     * Ends an executor whose devices are lost, as only a new process has them again; Spark starts one
     * and gives it the task. A driver that draws itself (a local master) goes on.
     */
    static void endIfLost(DeviceException failure) {
        if (failure.lost() && !SparkEnv.get().executorId().equals(DRIVER)) {
            LOG.log(
                    System.Logger.Level.ERROR,
                    "this executor ends, as its devices are lost: " + failure.getMessage());
            // Not exit, whose hooks would wait for what no longer answers.
            Runtime.getRuntime().halt(EXIT_CODE);
        }
    }
}
