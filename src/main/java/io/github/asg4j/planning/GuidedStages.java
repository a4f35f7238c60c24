// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.planning;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GuidanceInterval;
import io.github.asg4j.plan.Stage;
import io.github.asg4j.schedule.Schedule;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/** The steps of stages that have classifier-free guidance, by the noise levels that they visit. */
final class GuidedStages {
    private GuidedStages() {}

    /**
     * Stages with guidance in the steps whose sigma their interval contains.
     *
     * @param intervals of the stages; null: all steps
     * @throws BadRequestException for an interval that contains no step of the stages that have it
     */
    static List<Stage> of(
            List<Stage> stages,
            Function<Stage, @Nullable GuidanceInterval> intervals,
            Schedule schedule) {
        stages.stream()
                .map(intervals)
                .distinct()
                .forEach(
                        interval -> {
                            if (interval != null) {
                                double[] sigmas =
                                        stages.stream()
                                                .filter(s -> interval.equals(intervals.apply(s)))
                                                .flatMapToDouble(s -> sigmas(s, schedule))
                                                .toArray();
                                requireStep(interval, sigmas);
                            }
                        });
        List<Stage> guided = new ArrayList<>();
        for (Stage stage : stages) {
            GuidanceInterval interval = intervals.apply(stage);
            guided.add(
                    interval == null || !stage.mixes() ? stage : within(stage, interval, schedule));
        }
        return List.copyOf(guided);
    }

    private static Stage within(Stage stage, GuidanceInterval interval, Schedule schedule) {
        double[] sigmas = sigmas(stage, schedule).toArray();
        int[] steps =
                IntStream.range(0, sigmas.length)
                        .filter(k -> interval.contains(sigmas[k]))
                        .toArray();
        return steps.length == 0
                ? stage.guidedDuring(0, 0)
                : stage.guidedDuring(steps[0], steps[steps.length - 1] + 1);
    }

    private static DoubleStream sigmas(Stage stage, Schedule schedule) {
        return schedule
                .levels()
                .subList(stage.firstStep(), stage.firstStep() + stage.steps())
                .stream()
                .mapToDouble(level -> level.noise());
    }

    private static void requireStep(GuidanceInterval interval, double[] sigmas) {
        if (DoubleStream.of(sigmas).anyMatch(interval::contains)) {
            return;
        }
        double above = DoubleStream.of(sigmas).filter(s -> s > interval.high()).min().orElse(-1);
        double below = DoubleStream.of(sigmas).filter(s -> s <= interval.low()).max().orElse(-1);
        List<String> next = new ArrayList<>();
        if (above >= 0) {
            next.add(String.format(Locale.ROOT, "%.4g", above));
        }
        if (below >= 0) {
            next.add(String.format(Locale.ROOT, "%.4g", below));
        }
        throw new BadRequestException(
                "the guidance interval "
                        + interval
                        + " contains no step: those nearest to it are at sigma "
                        + String.join(" and ", next)
                        + "; widen it, or draw without guidance (--guidance-scale 1)");
    }
}
