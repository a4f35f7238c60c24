// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.benchmarks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.PriorityQueue;

/**
 * A discrete-event model of a picture on D equal devices: the engine's rules of who does which call
 * when (of those that are ready the one furthest behind; interaction waits for all calls of the step
 * before, a guided call for the guide of {@code staleness} steps before, windows for the strips of the
 * canvas that they read, a strip for the windows that meet it), with measured times instead of work.
 * As in memory that all share, patches are dealt out in turn and whoever is idle takes windows.
 */
final class DeviceModel {
    /**
     * A stage as the plan prints it.
     *
     * @param patches stage 1, patches with a guide; else windows, whose canvas is stepped in strips
     * @param callViews views of each call of a step
     * @param gathers steps k > 0 that read the latents of all patches
     * @param staleness of the guide; -1: no guide
     * @param strips of windows: the first and the last strip that each call meets in every step
     */
    record Stage(
            boolean patches,
            int steps,
            List<Integer> callViews,
            int gathers,
            int staleness,
            List<Strips> strips) {
        /** How many strips there are; 0: one join at the end. */
        int stripCount() {
            return strips.stream().mapToInt(s -> s.last + 1).max().orElse(0);
        }
    }

    /** Strips {@code first .. last}. */
    record Strips(int first, int last) {
        boolean meet(int strip) {
            return first <= strip && strip <= last;
        }
    }

    /**
     * Measured, milliseconds.
     *
     * @param view of a view in a UNet call and the kernels around it, per stage
     * @param exchange until a guide is on another device
     * @param join of a stage switch or a step of a strip of the canvas
     * @param serial text, VAE and all else that one device does
     */
    record Times(List<Double> view, double exchange, double join, double serial) {}

    /**
     * What the model says.
     *
     * @param total milliseconds of the picture
     * @param waiting mean over the devices of the time in which a device waits for another
     */
    record Prediction(double total, double waiting) {}

    private DeviceModel() {}

    static Prediction predict(List<Stage> stages, Times times, int devices) {
        double clock = 0;
        double busy = 0;
        for (int s = 0; s < stages.size(); s++) {
            StageModel model = new StageModel(stages.get(s), times.view.get(s), times, devices);
            clock += model.run();
            busy += model.busy;
        }
        return new Prediction(clock + times.serial, clock - busy / devices);
    }

    private static final class StageModel {
        private final Stage stage;
        private final double viewMillis;
        private final Times times;
        private final int devices;
        private final int join;
        private final int[] done;
        private final boolean[] running;
        private final double[] guideAt;
        private final boolean[] idle;
        private double busy;

        /** A device reaches a point of its unit: the end of its UNet call, or of the unit's step. */
        private record Event(double time, int device, int unit, boolean complete) {}

        private final PriorityQueue<Event> events =
                new PriorityQueue<>(
                        java.util.Comparator.comparingDouble(Event::time)
                                .thenComparingInt(Event::device));
        private final List<Event> waiting = new ArrayList<>();

        StageModel(Stage stage, double viewMillis, Times times, int devices) {
            this.stage = stage;
            this.viewMillis = viewMillis;
            this.times = times;
            this.devices = devices;
            join = stage.callViews.size();
            int joins = Math.max(1, stage.stripCount());
            done = new int[join + joins];
            running = new boolean[join + joins];
            guideAt = new double[stage.steps];
            Arrays.fill(guideAt, Double.POSITIVE_INFINITY);
            idle = new boolean[devices];
            Arrays.fill(idle, true);
        }

        double run() {
            double now = 0;
            start(now);
            while (!events.isEmpty()) {
                Event event = events.poll();
                now = event.time;
                if (event.complete) {
                    done[event.unit]++;
                    running[event.unit] = false;
                    idle[event.device] = true;
                } else {
                    unetDone(event);
                }
                start(now);
            }
            for (int unit = join; unit < done.length; unit++) {
                if (done[unit] != total(unit)) {
                    throw new IllegalStateException("the model came to a standstill");
                }
            }
            return now;
        }

        private int total(int unit) {
            return unit >= join && stage.patches ? 1 : stage.steps;
        }

        private boolean ready(int unit) {
            int k = done[unit];
            if (running[unit] || k == total(unit)) {
                return false;
            }
            if (!stage.patches) {
                return unit < join ? readsAreThere(unit) : noiseIsThere(unit - join);
            }
            int least = stage.steps;
            for (int u = 0; u < join; u++) {
                least = Math.min(least, done[u]);
            }
            return unit == join
                    ? least == stage.steps
                    : k == 0 || !(k <= stage.gathers || k - 1 <= stage.gathers) || least >= k;
        }

        private boolean readsAreThere(int call) {
            Strips met = stage.strips.get(call);
            for (int strip = met.first; strip <= met.last; strip++) {
                if (done[join + strip] < done[call]) {
                    return false;
                }
            }
            return true;
        }

        private boolean noiseIsThere(int strip) {
            for (int call = 0; call < join; call++) {
                if (stage.strips.get(call).meet(strip) && done[call] <= done[join + strip]) {
                    return false;
                }
            }
            return true;
        }

        private void start(double now) {
            for (int device = 0; device < devices; device++) {
                int best = -1;
                for (int unit = 0; idle[device] && unit < done.length; unit++) {
                    boolean may = !stage.patches || unit % devices == device;
                    if (may && goesFirst(unit, best) && ready(unit)) {
                        best = unit;
                    }
                }
                if (best >= 0) {
                    idle[device] = false;
                    running[best] = true;
                    boolean joins = best >= join;
                    double work = joins ? times.join : stage.callViews.get(best) * viewMillis;
                    busy += work;
                    events.add(new Event(now + work, device, best, joins));
                }
            }
        }

        private boolean goesFirst(int unit, int best) {
            if (best < 0 || done[unit] != done[best]) {
                return best < 0 || done[unit] < done[best];
            }
            return unit >= join && best < join;
        }

        /** The key call publishes its guide; every call needs the guide it is meant to follow. */
        private void unetDone(Event event) {
            int k = done[event.unit];
            if (stage.patches && stage.staleness >= 0 && event.unit == 0) {
                guideAt[k] = event.time;
                for (Event other : List.copyOf(waiting)) {
                    if (needs(other) == k) {
                        waiting.remove(other);
                        finish(other);
                    }
                }
            }
            if (needs(event) >= 0 && guideAt[needs(event)] == Double.POSITIVE_INFINITY) {
                waiting.add(event);
            } else {
                finish(event);
            }
        }

        /** Step of the guide that a call waits for; -1: none. */
        private int needs(Event event) {
            return stage.patches && stage.staleness >= 0 && event.unit != 0
                    ? Math.max(0, done[event.unit] - stage.staleness)
                    : -1;
        }

        private void finish(Event event) {
            double end = event.time;
            if (needs(event) >= 0) {
                double sent = event.device == 0 ? 0 : times.exchange;
                end = Math.max(end, guideAt[needs(event)] + sent);
            }
            events.add(new Event(end, event.device, event.unit, true));
        }
    }
}
