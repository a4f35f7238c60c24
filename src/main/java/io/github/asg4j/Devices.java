// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * What "--devices" means on this machine.
 *
 * @param workers that denoise views at the same time
 * @param threadsPerWorker of one UNet call
 * @param reason how "auto" chose, or that it was asked for
 */
record Devices(int workers, int threadsPerWorker, String reason) {
    private static final Pattern CPU = Pattern.compile("cpu(?::(\\d{1,4}))?");
    private static final int MAX_WORKERS = 256;

    static Devices parse(String text, OptionalInt threads) {
        int cores = Runtime.getRuntime().availableProcessors();
        if (text.equals("auto")) {
            // One worker a core keeps cores busiest; beyond four, the four patches of a 2x picture
            // leave no more work per step, and further cores help within a call.
            int workers =
                    threads.isPresent()
                            ? Math.max(1, cores / threads.getAsInt())
                            : Math.min(cores, 4);
            int each = threads.orElse(Math.max(1, cores / workers));
            return new Devices(
                    workers,
                    each,
                    "auto: cpu:"
                            + workers
                            + " with "
                            + each
                            + " thread(s) each on "
                            + cores
                            + " core(s); no GPU support in this build");
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
            return new Devices(workers, threads.orElse(1), "asked for");
        }
        if (text.matches("cuda:\\d+(,cuda:\\d+)*")) {
            throw new DeviceException(
                    "device \""
                            + text
                            + "\" is not available: this build runs on the CPU only; use"
                            + " --devices auto or cpu:N");
        }
        throw new BadRequestException(
                "unknown device \"" + text + "\": use auto, cpu:N (N workers), or cuda:0,cuda:1");
    }

    List<String> names() {
        return IntStream.range(0, workers).mapToObj(i -> "cpu#" + i).toList();
    }
}
