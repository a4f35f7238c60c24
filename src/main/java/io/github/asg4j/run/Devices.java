// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.DeviceException;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * What "--devices" means on this machine.
 *
 * @param names of the workers, which denoise views at the same time
 * @param gpus number of each worker's GPU; empty: all are on the CPU
 * @param threadsPerWorker of one UNet call
 * @param reason how "auto" chose, or that it was asked for
 */
record Devices(List<String> names, List<Integer> gpus, int threadsPerWorker, String reason) {
    private static final Pattern CPU = Pattern.compile("cpu(?::(\\d{1,4}))?");
    private static final Pattern CUDA = Pattern.compile("cuda:\\d{1,3}(,cuda:\\d{1,3})*");
    private static final int MAX_WORKERS = 256;

    /**
     * @param count of usable GPUs, asked for by "auto" only
     * @throws BadRequestException if the text means nothing
     */
    static Devices parse(String text, OptionalInt threads, GpuCount count) {
        if (text.equals("auto")) {
            return auto(threads, count);
        }
        Matcher cpu = CPU.matcher(text);
        if (cpu.matches()) {
            int workers = cpu.group(1) == null ? 1 : Integer.parseInt(cpu.group(1));
            if (workers < 1 || workers > MAX_WORKERS) {
                throw new BadRequestException(
                        "devices \""
                                + text
                                + "\": the number of CPU workers is from 1 to "
                                + MAX_WORKERS);
            }
            return onCpu(workers, threads.orElse(1), "asked for");
        }
        if (CUDA.matcher(text).matches()) {
            return onGpus(
                    Stream.of(text.split(","))
                            .map(name -> Integer.parseInt(name.substring("cuda:".length())))
                            .toList(),
                    "asked for");
        }
        throw new BadRequestException(
                "unknown device \""
                        + text
                        + "\": use auto, cpu:N (N workers), or cuda:0,cuda:1 (GPUs; not mixed with"
                        + " the CPU)");
    }

    /** How many GPUs can be used, or why none. */
    interface GpuCount {
        /**
         * @throws DeviceException if none can be used
         */
        int get();
    }

    private static Devices auto(OptionalInt threads, GpuCount count) {
        String none;
        try {
            List<Integer> all = IntStream.range(0, count.get()).boxed().toList();
            return onGpus(all, "auto: all GPUs of this machine");
        } catch (DeviceException e) {
            none = String.valueOf(e.getMessage());
        }
        int cores = Runtime.getRuntime().availableProcessors();
        // One worker a core keeps cores busiest; beyond four, the four patches of a 2x picture
        // leave no more work per step, and further cores help within a call.
        int workers =
                threads.isPresent() ? Math.max(1, cores / threads.getAsInt()) : Math.min(cores, 4);
        int each = threads.orElse(Math.max(1, cores / workers));
        return onCpu(
                workers,
                each,
                "auto: cpu:"
                        + workers
                        + " with "
                        + each
                        + " thread(s) each on "
                        + cores
                        + " core(s); no GPU: "
                        + none);
    }

    private static Devices onCpu(int workers, int threads, String reason) {
        List<String> names = IntStream.range(0, workers).mapToObj(i -> "cpu#" + i).toList();
        return new Devices(names, List.of(), threads, reason);
    }

    /** A GPU that comes more than once has a stream for each worker, counted behind its name. */
    private static Devices onGpus(List<Integer> gpus, String reason) {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < gpus.size(); i++) {
            int gpu = gpus.get(i);
            long before = gpus.subList(0, i).stream().filter(g -> g == gpu).count();
            long all = gpus.stream().filter(g -> g == gpu).count();
            names.add("cuda:" + gpu + (all > 1 ? "#" + before : ""));
        }
        return new Devices(List.copyOf(names), List.copyOf(gpus), 1, reason);
    }

    int workers() {
        return names.size();
    }

    boolean onGpus() {
        return !gpus.isEmpty();
    }
}
