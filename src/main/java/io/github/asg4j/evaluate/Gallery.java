// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.AsgException;
import io.github.asg4j.AttentionReport;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.EngineInfo;
import io.github.asg4j.GeneratedImage;
import io.github.asg4j.GenerationEvent;
import io.github.asg4j.GenerationListener;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.OutputException;
import io.github.asg4j.PlanReport;
import io.github.asg4j.ReportJson;
import io.github.asg4j.Seed;
import io.github.asg4j.Size;
import io.github.asg4j.evaluate.Drawing.Drawn;
import io.github.asg4j.evaluate.Drawing.Refused;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.function.Function;

/**
 * The pictures of a comparison.
 *
 * @param comparison what was asked for
 * @param reference the shot at native size
 * @param drawings what became of each shot, in the comparison's order, the reference first
 * @param attention of ASGDiffusion, by step; empty where not asked for
 * @param machine as {@link io.github.asg4j.Engine#describe}
 */
public record Gallery(
        Comparison comparison,
        Shot reference,
        Map<Shot, Drawing> drawings,
        List<AttentionReport> attention,
        EngineInfo machine) {

    /** Told what is being drawn, on the thread that draws. */
    public interface Observer {
        /**
         * A picture is begun.
         *
         * @param index from 1
         * @param of pictures in all
         * @param secondsLeft estimate for this and all later ones; empty: nothing was measured yet
         * @return told how it goes on
         */
        GenerationListener begins(int index, int of, String name, OptionalInt secondsLeft);

        /** It has ended. */
        void ended(int index, int of, String name, Drawing drawing);
    }

    /**
     * Draws a comparison. A method that cannot be drawn becomes a {@link Refused}.
     *
     * @param counter of objects; empty where it does not know the picture's prompt
     * @throws AsgException of the first method if none can be drawn
     * @throws CancelledException as soon as one generation says so
     * @throws DeviceException when the devices are gone
     */
    public static Gallery draw(
            Comparison comparison,
            PictureEngine engine,
            Observer observer,
            Function<GeneratedImage, OptionalInt> counter) {
        EngineInfo machine = engine.describe();
        Size size = machine.nativeSize();
        Shot reference = comparison.reference(size.width(), size.height());
        Session session = new Session(comparison, engine, observer, counter);
        Map<Shot, Drawing> drawings = session.draw(reference);
        return new Gallery(comparison, reference, drawings, session.attention, machine);
    }

    /** What became of a shot of this comparison. */
    Drawing get(Shot shot) {
        Drawing drawing = drawings.get(shot);
        if (drawing == null) {
            throw new IllegalArgumentException(shot.name() + " was not asked for");
        }
        return drawing;
    }

    /** The pictures of the methods that were drawn, by method. */
    Map<String, Drawn> methods() {
        Map<String, Drawn> methods = new LinkedHashMap<>();
        for (String name : comparison.methods()) {
            if (get(comparison.method(name)) instanceof Drawn drawn) {
                methods.put(name, drawn);
            }
        }
        return methods;
    }

    /** Returns, for JSON, what was drawn with which settings, and what was measured. */
    public Map<String, Object> numbers() {
        Map<String, Object> numbers = new LinkedHashMap<>();
        numbers.put("prompt", comparison.base().prompt());
        numbers.put("seed", Seed.number(comparison.base().seed()));
        numbers.put("paper_defaults", comparison.base().paperDefaults());
        List<Map<String, Object>> pictures = new ArrayList<>();
        drawings.forEach(
                (shot, drawing) -> {
                    Map<String, Object> picture = new LinkedHashMap<>();
                    picture.put("name", shot.name());
                    switch (drawing) {
                        case Drawn drawn -> {
                            drawn.objects().ifPresent(n -> picture.put("objects", n));
                            picture.putAll(ReportJson.map(drawn.report()));
                            if (!drawn.ownPeak()) {
                                picture.remove(ReportJson.PROCESS_PEAK_BYTES);
                            }
                        }
                        case Refused refused -> {
                            picture.put("method", shot.request().method());
                            picture.put("refused", refused.reason());
                        }
                    }
                    pictures.add(picture);
                });
        numbers.put("pictures", pictures);
        return numbers;
    }

    /** One comparison at work. */
    private static final class Session {
        private final Comparison comparison;
        private final PictureEngine engine;
        private final Observer observer;
        private final Function<GeneratedImage, OptionalInt> counter;
        private final Map<Shot, Drawing> drawings = new HashMap<>();
        private final Map<Shot, AsgException> failures = new HashMap<>();
        private final List<AttentionReport> attention = new ArrayList<>();

        Session(
                Comparison comparison,
                PictureEngine engine,
                Observer observer,
                Function<GeneratedImage, OptionalInt> counter) {
            this.comparison = comparison;
            this.engine = engine;
            this.observer = observer;
            this.counter = counter;
        }

        /** A shot that can be drawn, and what its plan says. */
        private record Planned(Shot shot, long bytes, long evaluations) {}

        Map<Shot, Drawing> draw(Shot reference) {
            List<Shot> shots = comparison.shots();
            List<Planned> planned = new ArrayList<>();
            shots.forEach(shot -> plan(shot, planned));
            requireMethods();
            // What ONNX Runtime keeps of a picture's memory counts for the later ones too.
            planned.sort(Comparator.comparingLong(Planned::bytes));
            List<Planned> first = new ArrayList<>();
            plan(reference, first);
            planned.addAll(0, first);
            draw(planned);
            requireMethods();
            Map<Shot, Drawing> ordered = new LinkedHashMap<>();
            for (Shot shot : concat(reference, shots)) {
                ordered.put(shot, Objects.requireNonNull(drawings.get(shot)));
            }
            return ordered;
        }

        private static List<Shot> concat(Shot first, List<Shot> others) {
            List<Shot> all = new ArrayList<>(others);
            all.addFirst(first);
            return all;
        }

        private void plan(Shot shot, List<Planned> planned) {
            try {
                PlanReport plan = engine.plan(shot.request());
                planned.add(new Planned(shot, plan.memory().total(), plan.guidedEvaluations()));
            } catch (AsgException e) {
                refused(shot, e);
            }
        }

        private void draw(List<Planned> shots) {
            long left = shots.stream().mapToLong(Planned::evaluations).sum();
            long done = 0;
            long start = System.nanoTime();
            for (int i = 0; i < shots.size(); i++) {
                Planned planned = shots.get(i);
                Shot shot = planned.shot();
                double nanos = System.nanoTime() - start;
                OptionalInt seconds =
                        done == 0
                                ? OptionalInt.empty()
                                : OptionalInt.of((int) Math.ceil(nanos / done * left / 1e9));
                draw(shot, observer.begins(i + 1, shots.size(), shot.name(), seconds));
                observer.ended(
                        i + 1,
                        shots.size(),
                        shot.name(),
                        Objects.requireNonNull(drawings.get(shot)));
                done += planned.evaluations();
                left -= planned.evaluations();
            }
        }

        private void draw(Shot shot, GenerationListener listener) {
            boolean attentive =
                    comparison.shows(Comparison.Figure.ATTENTION)
                            && shot.equals(comparison.method(Comparison.ASG));
            boolean ownPeak = resetProcessPeak();
            try {
                GeneratedImage image =
                        engine.submit(
                                        shot.request(),
                                        attentive ? new Attentive(listener, attention) : listener)
                                .join();
                drawings.put(
                        shot,
                        new Drawn(
                                image.png(),
                                image.width(),
                                image.height(),
                                image.report(),
                                ownPeak,
                                counter.apply(image)));
            } catch (AsgException e) {
                refused(shot, e);
            }
        }

        /** Keeps a failure of one picture; throws one that ends all. */
        private void refused(Shot shot, AsgException e) {
            switch (e) {
                case BadRequestException own -> {}
                case BadBundleException own -> {}
                case OutOfMemoryException own -> {}
                case DeviceException all -> throw all;
                case OutputException all -> throw all;
                case CancelledException all -> throw all;
            }
            failures.put(shot, e);
            drawings.put(shot, new Refused(String.valueOf(e.getMessage())));
        }

        /** A page of complaints is no comparison: the first says it all. */
        private void requireMethods() {
            List<Shot> shots = comparison.methods().stream().map(comparison::method).toList();
            if (failures.keySet().containsAll(shots)) {
                throw Objects.requireNonNull(failures.get(shots.getFirst()));
            }
        }

        /**
         * Lets the peak that Linux keeps of the process begin anew, so that it is the next
         * picture's; false where the system has no such thing.
         */
        private static boolean resetProcessPeak() {
            try {
                Files.writeString(Path.of("/proc/self/clear_refs"), "5", StandardOpenOption.WRITE);
                return true;
            } catch (IOException e) {
                return false;
            }
        }
    }

    /** Hands progress on and keeps the attention. */
    private record Attentive(GenerationListener progress, List<AttentionReport> reports)
            implements GenerationListener {
        @Override
        public void onEvent(GenerationEvent event) {
            progress.onEvent(event);
        }

        @Override
        public boolean wantsAttention() {
            return true;
        }

        @Override
        public void onAttention(AttentionReport report) {
            reports.add(report);
        }
    }
}
