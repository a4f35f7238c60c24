// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.eclipse.jetty.io.Connection;
import org.eclipse.jetty.server.ServerConnector;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Closes connections on which a request's header takes too long: one that sends a byte now and then
 * is never idle (slowloris).
 */
final class SlowHeaders implements Connection.Listener {
    private static final long SWEEP_SECONDS = 5;
    private static final long MAX_NANOS = TimeUnit.SECONDS.toNanos(20);

    private final ServerConnector connector;
    private final Map<Connection, State> connections = new ConcurrentHashMap<>();
    private final AtomicBoolean sweeping = new AtomicBoolean();

    /**
     * @param messages that were read whole
     * @param bytes that had been read when that was seen
     * @param since when more than that was first seen; 0: it was not
     */
    private record State(long messages, long bytes, long since) {}

    SlowHeaders(ServerConnector connector) {
        this.connector = connector;
    }

    @Override
    public void onOpened(Connection connection) {
        connections.put(connection, new State(0, 0, 0));
        sweepLater();
    }

    @Override
    public void onClosed(Connection connection) {
        connections.remove(connection);
    }

    /** One timer for all: one for each would hold connections that are closed long since. */
    private void sweepLater() {
        if (sweeping.compareAndSet(false, true)) {
            connector.getScheduler().schedule(this::sweep, SWEEP_SECONDS, TimeUnit.SECONDS);
        }
    }

    private void sweep() {
        sweeping.set(false);
        long now = System.nanoTime();
        connections.forEach((connection, state) -> look(connection, state, now));
        if (!connections.isEmpty()) {
            sweepLater();
        }
    }

    private void look(Connection connection, State state, long now) {
        long messages = connection.getMessagesIn();
        boolean busy = messages != connection.getMessagesOut();
        if (busy || messages != state.messages) {
            connections.replace(connection, new State(messages, connection.getBytesIn(), 0));
        } else if (state.since == 0 && connection.getBytesIn() > state.bytes) {
            connections.replace(connection, new State(messages, state.bytes, now));
        } else if (state.since != 0 && now - state.since > MAX_NANOS) {
            connection.getEndPoint().close();
        }
    }
}
