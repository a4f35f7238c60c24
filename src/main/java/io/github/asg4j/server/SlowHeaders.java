// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.eclipse.jetty.io.Connection;
import org.eclipse.jetty.server.ServerConnector;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * Closes connections on which a request's header takes too long: one that sends a byte now and then
 * is never idle (slowloris).
 */
final class SlowHeaders implements Connection.Listener {
    private static final long SWEEP_SECONDS = 5;
    private static final long MAX_NANOS = TimeUnit.SECONDS.toNanos(20);

    private final ServerConnector connector;
    private final Map<Connection, State> connections = new ConcurrentHashMap<>();

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
        sweepLater(connection);
    }

    @Override
    public void onClosed(Connection connection) {
        connections.remove(connection);
    }

    private void sweepLater(Connection connection) {
        connector.getScheduler().schedule(() -> sweep(connection), SWEEP_SECONDS, TimeUnit.SECONDS);
    }

    private void sweep(Connection connection) {
        State state = connections.get(connection);
        if (state == null) {
            return;
        }
        long now = System.nanoTime();
        long messages = connection.getMessagesIn();
        boolean busy = messages != connection.getMessagesOut();
        if (busy || messages != state.messages) {
            connections.replace(connection, new State(messages, connection.getBytesIn(), 0));
        } else if (state.since == 0 && connection.getBytesIn() > state.bytes) {
            connections.replace(connection, new State(messages, state.bytes, now));
        } else if (state.since != 0 && now - state.since > MAX_NANOS) {
            connection.getEndPoint().close();
            return;
        }
        sweepLater(connection);
    }
}
