// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import com.fasterxml.jackson.databind.node.ObjectNode;

import org.eclipse.jetty.http.HttpException;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Callback;

import java.io.IOException;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Finds the route of a request, asks who it is from, and tells what went wrong. */
final class Router extends Handler.Abstract {
    private static final System.Logger LOG = System.getLogger(Router.class.getName());

    private final List<Route> routes;
    private final Gate gate;
    private final AccessLog log;
    private final Metrics metrics;
    private final SecureRandom random = new SecureRandom();

    Router(List<Route> routes, Gate gate, AccessLog log, Metrics metrics) {
        this.routes = List.copyOf(routes);
        this.gate = gate;
        this.log = log;
        this.metrics = metrics;
    }

    @Override
    public boolean handle(Request request, Response response, Callback callback) {
        long start = System.nanoTime();
        byte[] bytes = new byte[8];
        random.nextBytes(bytes);
        Exchange exchange = new Exchange(request, response, HexFormat.of().formatHex(bytes));
        exchange.header("X-Request-Id", exchange.id());
        exchange.header("X-Content-Type-Options", "nosniff");
        String route = "none";
        try {
            gate.checkOrigin(exchange);
            Route found = route(exchange);
            route = found.path();
            if (!found.open()) {
                exchange.client(gate.client(exchange));
            }
            found.action().answer(exchange);
            callback.succeeded();
        } catch (Throwable e) {
            fail(exchange, callback, e);
        }
        long nanos = System.nanoTime() - start;
        metrics.answered(route, exchange.status(), nanos);
        log.line(exchange, nanos);
        return true;
    }

    private Route route(Exchange exchange) {
        String path = exchange.path();
        String method = exchange.method().equals("HEAD") ? "GET" : exchange.method();
        Set<String> allowed = new TreeSet<>();
        for (Route route : routes) {
            Map<String, String> values = route.match(path);
            if (values != null && route.method().equals(method)) {
                exchange.pathValues(values);
                return route;
            }
            if (values != null) {
                allowed.add(route.method());
            }
        }
        if (allowed.isEmpty()) {
            throw Refusal.notFound("there is nothing at " + path + " here");
        }
        exchange.header("Allow", String.join(", ", allowed));
        throw Refusal.invalid(
                405,
                "method_not_allowed",
                null,
                exchange.method() + " " + path + ": it takes " + String.join(", ", allowed));
    }

    private static void fail(Exchange exchange, Callback callback, Throwable failure) {
        if (exchange.isAnswered() || failure instanceof IOException) {
            exchange.note("lost", true);
            callback.failed(failure);
            return;
        }
        Refusal refusal =
                failure instanceof HttpException http
                        ? Refusal.invalid(
                                http.getCode(), "bad_request", null, "no HTTP: " + http.getReason())
                        : Refusal.of(failure);
        if (refusal.isBug()) {
            LOG.log(System.Logger.Level.ERROR, "request " + exchange.id() + " failed", failure);
        }
        try {
            answer(exchange, refusal);
            callback.succeeded();
        } catch (IOException | RuntimeException e) {
            callback.failed(e);
        }
    }

    private static void answer(Exchange exchange, Refusal refusal) throws IOException {
        if (refusal.status() == 401) {
            boolean basic = exchange.path().startsWith("/sdapi/");
            exchange.header("WWW-Authenticate", basic ? "Basic realm=\"asg4j\"" : "Bearer");
        }
        if (refusal.retryAfterSeconds() > 0) {
            exchange.header("Retry-After", Integer.toString(refusal.retryAfterSeconds()));
        } else if (refusal.status() >= 500 || refusal.status() == 409) {
            exchange.header("X-Should-Retry", "false"); // OpenAI's clients do otherwise
        }
        exchange.note("code", refusal.code());
        exchange.answer(
                refusal.status(),
                exchange.path().startsWith("/sdapi/") ? detail(refusal) : error(refusal));
    }

    /** An error as OpenAI's API writes it. */
    static ObjectNode error(Refusal refusal) {
        ObjectNode answer = Json.object();
        answer.putObject("error")
                .put("message", refusal.text())
                .put("type", refusal.type())
                .put("param", refusal.param())
                .put("code", refusal.code());
        return answer;
    }

    /** An error as AUTOMATIC1111's API writes it. */
    private static ObjectNode detail(Refusal refusal) {
        return Json.object()
                .put("error", refusal.code())
                .put("detail", refusal.text())
                .put("body", "")
                .put("errors", refusal.text());
    }
}
