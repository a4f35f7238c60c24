// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.github.asg4j.EngineActivity;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;

/** For balancers and supervisors: draws nothing. */
final class HealthApi {
    private final Studio.Door door;
    private final Metrics metrics;

    HealthApi(Studio.Door door, Metrics metrics) {
        this.door = door;
        this.metrics = metrics;
    }

    List<Route> routes() {
        return List.of(
                Route.get("/health/live", exchange -> answer(exchange, true)).forAll(),
                Route.get("/health/ready", this::ready).forAll(),
                Route.get("/metrics", this::metrics));
    }

    private static void answer(Exchange exchange, boolean up, Check... checks) throws IOException {
        ObjectNode answer = Json.object().put("status", up ? "UP" : "DOWN");
        ArrayNode list = answer.putArray("checks");
        for (Check check : checks) {
            list.addObject()
                    .put("name", check.name)
                    .put("status", check.up ? "UP" : "DOWN")
                    .put("detail", check.detail);
        }
        exchange.answer(up ? 200 : 503, answer);
    }

    private record Check(String name, boolean up, String detail) {}

    private void ready(Exchange exchange) throws IOException {
        Studio studio;
        try {
            studio = door.studio();
        } catch (Refusal e) {
            answer(exchange, false, new Check("model", false, e.text()));
            return;
        }
        Jobs jobs = studio.jobs();
        List<String> loaded =
                studio.models().states().stream()
                        .filter(Models.State::loaded)
                        .map(Models.State::name)
                        .toList();
        Check model = new Check("model", true, String.join(", ", loaded));
        List<EngineActivity> activities = studio.models().activities();
        SortedSet<String> lost = new TreeSet<>();
        activities.forEach(activity -> lost.addAll(activity.lost()));
        Check devices =
                new Check(
                        "devices",
                        activities.stream().allMatch(EngineActivity::canDraw),
                        lost.isEmpty()
                                ? String.join(", ", activities.getFirst().busy().keySet())
                                : "lost: " + String.join(", ", lost));
        Check queue =
                new Check(
                        "queue",
                        !jobs.isFull(),
                        jobs.waiting() + " of " + jobs.capacity() + " places taken");
        boolean draining = jobs.isDraining();
        Check open = new Check("open", !draining, draining ? "being stopped" : "takes requests");
        answer(exchange, devices.up && queue.up && open.up, model, devices, queue, open);
    }

    private void metrics(Exchange exchange) throws IOException {
        exchange.answer(
                200,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics.text().getBytes(StandardCharsets.UTF_8));
    }
}
