// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * Where the time of a picture went: every call that a device made. On a GPU the times are the
 * device's own, of events on its stream, good to a few microseconds.
 *
 * @param calls in the order of each device's work, device by device
 */
public record TraceReport(List<Call> calls) {
    public TraceReport {
        calls = List.copyOf(calls);
    }

    /**
     * One step of one unit of work: kernels, a run of the network, kernels; or kernels alone.
     * Nanoseconds since the request's work began.
     *
     * @param device its name, as in a picture's report
     * @param stage as {@link GenerationEvent#stage} names it
     * @param unit of the stage, from 0: its calls in the order of their views, then what joins them
     * @param step of the stage, from 0
     * @param begin of the call
     * @param networkBegin of the network's run; {@code networkEnd} without one
     * @param networkEnd of the network's run
     * @param end of the call
     */
    public record Call(
            String device,
            String stage,
            int unit,
            int step,
            long begin,
            long networkBegin,
            long networkEnd,
            long end) {
        /** Time in the network. */
        public long network() {
            return networkEnd - networkBegin;
        }

        /** The rest of the call: kernels, exchange, and on a GPU what its stream waited for. */
        public long between() {
            return end - begin - network();
        }
    }

    /**
     * What a device did from its first denoising call to the end of its last one, nanoseconds.
     *
     * @param runs of the network
     * @param median of a run
     * @param network in all runs
     * @param between in its calls, before and after the network
     * @param idle between its calls
     */
    public record Use(int runs, long median, long network, long between, long idle) {
        public long total() {
            return network + between + idle;
        }
    }

    /** Returns what each device did, by name, in the stages that ran the denoiser. */
    public Map<String, Use> uses() {
        Set<String> denoising =
                calls.stream()
                        .filter(call -> call.network() > 0)
                        .map(Call::stage)
                        .collect(Collectors.toSet());
        Map<String, List<Call>> byDevice =
                calls.stream()
                        .filter(call -> denoising.contains(call.stage()))
                        .collect(
                                Collectors.groupingBy(
                                        Call::device, LinkedHashMap::new, Collectors.toList()));
        Map<String, Use> uses = new LinkedHashMap<>();
        byDevice.forEach((device, own) -> uses.put(device, use(own)));
        return uses;
    }

    private static Use use(List<Call> own) {
        long[] runs = own.stream().mapToLong(Call::network).filter(n -> n > 0).sorted().toArray();
        long network = LongStream.of(runs).sum();
        long between = own.stream().mapToLong(Call::between).sum();
        long whole = own.getLast().end() - own.getFirst().begin();
        long median = runs.length == 0 ? 0 : runs[runs.length / 2];
        long idle = Math.max(0, whole - network - between);
        return new Use(runs.length, median, network, between, idle);
    }
}
