// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineActivity;
import io.github.asg4j.PictureReport;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Timer;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;

import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.ToDoubleFunction;

/** Counters and histograms for Prometheus. Thread-safe. */
final class Metrics {
    /** Buckets of a histogram of seconds: a picture takes from some tenths of a second to many minutes. */
    private static final Duration[] BUCKETS =
            List.of(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 600.0).stream()
                    .map(seconds -> Duration.ofMillis((long) (seconds * 1000)))
                    .toArray(Duration[]::new);

    private final PrometheusMeterRegistry registry =
            new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    private final Map<Drawing, Long> queued = new ConcurrentHashMap<>();

    /** Adds what is read when it is asked for. */
    void watch(Models models, Jobs jobs) {
        for (String device : models.first().engine().activity().busy().keySet()) {
            FunctionCounter.builder("asg.busy.seconds", models, m -> seconds(m, device))
                    .description("time that a device spent in the denoiser, kernels and exchange")
                    .tag("device", device)
                    .register(registry);
        }
        for (Models.State model : models.states()) {
            String name = model.name();
            Gauge.builder("asg.model.loaded", models, m -> m.state(name).loaded() ? 1 : 0)
                    .description("whether the networks of a model are in memory")
                    .tag("model", name)
                    .register(registry);
            FunctionCounter.builder("asg.model.loads", models, m -> m.state(name).loads())
                    .description("how often the networks of a model were loaded")
                    .tag("model", name)
                    .register(registry);
        }
        gauge("asg.queue.length", "pictures that wait", jobs, j -> j.waiting());
        gauge("asg.queue.capacity", "pictures that may wait", jobs, j -> j.capacity());
        gauge("asg.drawing", "pictures at work", jobs, j -> j.current() == null ? 0 : 1);
        gauge("asg.native.bytes", "off-heap memory", jobs, j -> Engine.nativeBytesInUse());
    }

    private static double seconds(Models models, String device) {
        return models.activities().stream()
                        .map(EngineActivity::busy)
                        .mapToLong(busy -> busy.getOrDefault(device, Duration.ZERO).toNanos())
                        .sum()
                / 1e9;
    }

    private void gauge(String name, String what, Jobs jobs, ToDoubleFunction<Jobs> value) {
        Gauge.builder(name, jobs, value).description(what).register(registry);
    }

    /** A picture waits. */
    void waits(Drawing drawing) {
        queued.put(drawing, System.nanoTime());
    }

    /** A picture has its turn. */
    void began(Drawing drawing) {
        Long since = queued.remove(drawing);
        if (since != null) {
            Timer.builder("asg.queue.time")
                    .description("time that pictures waited")
                    .serviceLevelObjectives(BUCKETS)
                    .register(registry)
                    .record(Duration.ofNanos(System.nanoTime() - since));
        }
    }

    /** A picture is finished, has failed or was given up, before anybody hears of it. */
    void ended(Drawing drawing, Progress.Status status) {
        queued.remove(drawing);
        String method = drawing.work().plan().method();
        String outcome = status.name().toLowerCase(Locale.ROOT);
        counter(
                        "asg.pictures",
                        "pictures that ended",
                        "model",
                        drawing.model().name(),
                        "method",
                        method,
                        "outcome",
                        outcome)
                .increment();
        if (status == Progress.Status.COMPLETED) {
            Work work = drawing.work();
            Timer.builder("asg.picture.time")
                    .description("time that completed pictures took, without waiting")
                    .tag("method", method)
                    .serviceLevelObjectives(BUCKETS)
                    .register(registry)
                    .record(Duration.ofNanos((long) (drawing.seconds() * 1e9)));
            counter("asg.pixels", "pixels of completed pictures").increment((double) work.pixels());
            counter("asg.views", "views evaluated for completed pictures")
                    .increment((double) work.views());
        }
    }

    /**
     * Where the time of a picture went.
     *
     * @param times by stage
     */
    void stages(PictureReport.Times times) {
        stage("load", times.load());
        stage("total", times.total());
        stage("text", times.text());
        stage("unet", times.unet());
        stage("kernels", times.kernels());
        stage("exchange", times.exchange());
        stage("wait", times.waiting());
        stage("vae", times.vae());
        times.upscale().ifPresent(upscale -> stage("upscale", upscale));
    }

    private void stage(String name, double milliseconds) {
        stage(name, Duration.ofNanos((long) (milliseconds * 1e6)));
    }

    private void stage(String name, Duration time) {
        Timer.builder("asg.stage.time")
                .description("time of the stages of completed pictures")
                .tag("stage", name)
                .serviceLevelObjectives(BUCKETS)
                .register(registry)
                .record(time);
    }

    /** A request was answered. */
    void answered(String route, int status, long nanos) {
        Timer.builder("asg.http.time")
                .description("time of HTTP requests")
                .tags(List.of(Tag.of("route", route), Tag.of("status", Integer.toString(status))))
                .register(registry)
                .record(Duration.ofNanos(nanos));
    }

    private Counter counter(String name, String what, String... tags) {
        return Counter.builder(name).description(what).tags(tags).register(registry);
    }

    /** The text that Prometheus reads, format 0.0.4. */
    String text() {
        return registry.scrape();
    }
}
