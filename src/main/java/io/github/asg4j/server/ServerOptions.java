// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.BadRequestException;

import java.util.List;

/**
 * How an {@link AsgServer} runs.
 *
 * @param host name or address to listen on; "0.0.0.0" for all of the machine's
 * @param port to listen on; 0: one that is free
 * @param queueCapacity pictures that may wait, besides the one being drawn
 * @param keys of which each request has to bring one; empty: none is asked for
 * @param limits of clients without keys
 * @param hosts further names that browsers may reach a server on a loopback address by
 * @param logPrompts whether access log lines hold prompts
 */
public record ServerOptions(
        String host,
        int port,
        int queueCapacity,
        List<ApiKey> keys,
        Limits limits,
        List<String> hosts,
        boolean logPrompts) {
    /** Options of a server on the loopback address, port 8080, without keys and limits. */
    public static final ServerOptions DEFAULT =
            new ServerOptions("127.0.0.1", 8080, 16, List.of(), Limits.NONE, List.of(), false);

    public ServerOptions {
        if (port < 0 || port > 65_535) {
            throw new BadRequestException(
                    "port " + port + " does not exist: give one of 1..65535, or 0 for a free one");
        }
        if (queueCapacity < 0) {
            throw new BadRequestException(
                    "a queue of " + queueCapacity + " pictures: it has to be 0 or more");
        }
        keys = List.copyOf(keys);
        hosts = List.copyOf(hosts);
    }

    public ServerOptions withAddress(String name, int number) {
        return new ServerOptions(name, number, queueCapacity, keys, limits, hosts, logPrompts);
    }

    public ServerOptions withQueue(int capacity) {
        return new ServerOptions(host, port, capacity, keys, limits, hosts, logPrompts);
    }

    public ServerOptions withKeys(List<ApiKey> list) {
        return new ServerOptions(host, port, queueCapacity, list, limits, hosts, logPrompts);
    }

    public ServerOptions withLimits(Limits each) {
        return new ServerOptions(host, port, queueCapacity, keys, each, hosts, logPrompts);
    }

    public ServerOptions withHosts(List<String> names) {
        return new ServerOptions(host, port, queueCapacity, keys, limits, names, logPrompts);
    }

    public ServerOptions withLogPrompts(boolean log) {
        return new ServerOptions(host, port, queueCapacity, keys, limits, hosts, log);
    }
}
