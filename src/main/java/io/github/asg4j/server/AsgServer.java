// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.Engine;
import io.github.asg4j.EngineOptions;
import io.github.asg4j.OutputException;

import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.NetworkConnectionLimit;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.GracefulHandler;
import org.eclipse.jetty.util.VirtualThreads;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.jspecify.annotations.Nullable;

import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * An engine behind HTTP. Thread-safe.
 *
 * <pre>{@code
 * try (Engine engine = Engine.open(EngineOptions.DEFAULT);
 *         AsgServer server = AsgServer.start(engine, ServerOptions.DEFAULT)) {
 *     System.out.println("open " + server.uri());
 *     ...
 * }
 * }</pre>
 *
 * <p>The engine stays the caller's, who may draw with it too; close the server first.
 */
public final class AsgServer implements AutoCloseable {
    private static final int MAX_HEADER_BYTES = 16 << 10;
    private static final int MAX_CONNECTIONS = 2000;

    /** Clients that connect at once; Java's 50 make the kernel turn away some of 200. */
    private static final int ACCEPT_QUEUE = 1024;

    /**
     * Longer than clients keep connections that nobody uses (30 s in the JDK's): a request is lost that is
     * sent while the server closes its connection.
     */
    private static final long IDLE_MILLIS = 75_000;

    /** Time for answers on their way when the server stops; pictures are no longer drawn then. */
    private static final long STOP_MILLIS = 10_000;

    private final ServerOptions options;
    private final Metrics metrics = new Metrics();
    private final Server jetty;
    private final ServerConnector connector;
    private volatile @Nullable Studio studio;
    private boolean closed;

    private AsgServer(ServerOptions options) {
        this.options = options;
        QueuedThreadPool threads = new QueuedThreadPool(16, 2);
        threads.setName("asg-http");
        threads.setVirtualThreadsExecutor(
                VirtualThreads.getNamedVirtualThreadsExecutor("asg-http-"));
        jetty = new Server(threads);
        HttpConfiguration http = new HttpConfiguration();
        http.setSendServerVersion(false);
        http.setRequestHeaderSize(MAX_HEADER_BYTES);
        connector = new ServerConnector(jetty, 1, 1, new HttpConnectionFactory(http));
        connector.setHost(options.host());
        connector.setPort(options.port());
        connector.setIdleTimeout(IDLE_MILLIS);
        connector.setAcceptQueueSize(ACCEPT_QUEUE);
        connector.addBean(new SlowHeaders(connector));
        jetty.addConnector(connector);
        jetty.addBean(new NetworkConnectionLimit(MAX_CONNECTIONS, connector));
        jetty.setErrorHandler(new JsonErrors());
        jetty.setStopTimeout(STOP_MILLIS);
        jetty.setHandler(new GracefulHandler(router()));
    }

    private Router router() {
        RequestReader reader = new RequestReader();
        List<Route> routes = new ArrayList<>();
        boolean urls = options.keys().isEmpty();
        routes.addAll(new OpenAiApi(this::studio, reader, urls, options.logPrompts()).routes());
        routes.addAll(new JobsApi(this::studio, reader).routes());
        routes.addAll(new WebUiApi(this::studio, reader).routes());
        routes.addAll(Page.routes());
        routes.addAll(new HealthApi(this::studio, metrics).routes());
        return new Router(routes, new Gate(options), new AccessLog(), metrics);
    }

    /**
     * Listens and serves an engine that is open.
     *
     * @throws OutputException if the address cannot be listened on
     */
    public static AsgServer start(Engine engine, ServerOptions options) {
        AsgServer server = listen(options);
        server.serve(engine);
        return server;
    }

    /**
     * Listens: the server is alive and not ready, and answers requests with 503, until {@link #serve}.
     *
     * @throws OutputException if the address cannot be listened on
     */
    public static AsgServer listen(ServerOptions options) {
        AsgServer server = new AsgServer(options);
        try {
            server.jetty.start();
        } catch (Exception e) {
            server.close();
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw new OutputException(
                    "cannot listen on "
                            + options.host()
                            + ":"
                            + options.port()
                            + " ("
                            + cause.getMessage()
                            + "): choose another port, or host",
                    e);
        }
        return server;
    }

    /**
     * Begins to draw with an engine; once.
     *
     * @throws IllegalStateException if there is one already or the server is closed
     */
    public void serve(Engine engine) {
        serve(engine, Map.of());
    }

    /**
     * Begins to draw with an engine and further models, of which each is opened when a request first
     * names it and closed with the server; once. Where the networks of all do not fit into the
     * engine's limit of memory, those that were used longest ago are freed until they are needed again.
     *
     * @param further models by the names that requests give, in the order in which they are listed
     * @throws IllegalStateException if there is an engine already or the server is closed
     * @throws io.github.asg4j.BadRequestException if a further model has the name of the engine's
     */
    public void serve(Engine engine, Map<String, EngineOptions> further) {
        serve(engine, further, Engine::open);
    }

    /**
     * The same.
     *
     * @param opener opens a further model
     */
    synchronized void serve(
            Engine engine,
            Map<String, EngineOptions> further,
            Function<EngineOptions, Engine> opener) {
        if (closed || studio != null) {
            throw new IllegalStateException(
                    closed ? "the server is closed" : "the server has an engine already");
        }
        Models models = new Models(engine, further, opener);
        Jobs jobs = new Jobs(models, options.queueCapacity(), metrics);
        metrics.watch(models, jobs);
        studio = new Studio(models, jobs);
    }

    private Studio studio() {
        Studio there = studio;
        if (there == null) {
            throw Refusal.later(503, "loading", 5, "the model is being loaded");
        }
        return there;
    }

    /** Address of the page, with the port that is listened on. */
    public URI uri() {
        String host = options.host();
        boolean any = host.equals("0.0.0.0") || host.equals("::");
        String name = any ? "localhost" : host.indexOf(':') >= 0 ? "[" + host + "]" : host;
        return URI.create("http://" + name + ":" + connector.getLocalPort() + "/");
    }

    /**
     * Takes no more pictures, says so by {@code /health/ready}, and waits until those that wait or are
     * drawn are finished or {@link #cancel} ends them. Finished ones can still be fetched.
     *
     * @throws InterruptedException if this thread is interrupted meanwhile
     */
    public void drain() throws InterruptedException {
        Studio there = studio;
        if (there != null) {
            there.jobs().drain();
            there.jobs().awaitIdle();
        }
    }

    /** Takes no more pictures and cancels those that wait or are drawn. */
    public void cancel() {
        Studio there = studio;
        if (there != null) {
            there.jobs().cancelAll();
        }
    }

    /** Cancels all pictures, finishes the answers that are being sent, and stops. Idempotent. */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        Studio there = studio;
        if (there != null) {
            there.jobs().close();
            there.models().close();
        }
        try {
            jetty.stop();
        } catch (Exception e) {
            System.getLogger(AsgServer.class.getName())
                    .log(System.Logger.Level.WARNING, "the server did not stop as it should", e);
        }
    }
}
