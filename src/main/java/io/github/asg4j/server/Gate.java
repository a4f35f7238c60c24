// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.jspecify.annotations.Nullable;

import java.net.InetAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Who may ask. Keys are compared in constant time. A server on a loopback address answers only to
 * its own names, so that a page of another host that resolves to it (DNS rebinding) gets nothing;
 * what a browser sends on behalf of another site's page is refused everywhere.
 */
final class Gate {
    private static final String BEARER = "bearer ";
    private static final String BASIC = "basic ";

    private final ServerOptions options;
    private final List<byte[]> digests;

    /** Empty: any name. */
    private final Set<String> hosts = new HashSet<>();

    Gate(ServerOptions options) {
        this.options = options;
        digests = options.keys().stream().map(key -> sha256(key.secret())).toList();
        if (isLoopback(options.host())) {
            hosts.addAll(List.of("localhost", "127.0.0.1", "::1", name(options.host())));
            options.hosts().forEach(host -> hosts.add(name(host)));
        }
    }

    private static boolean isLoopback(String host) {
        try {
            return InetAddress.getByName(host).isLoopbackAddress();
        } catch (UnknownHostException e) {
            return false; // the connector says so when it opens
        }
    }

    /**
     * Refuses what does not come from a page or program that may ask.
     *
     * @throws Refusal naming what is wrong
     */
    void checkOrigin(Exchange exchange) {
        String host = exchange.header("Host");
        if (!hosts.isEmpty() && (host == null || !hosts.contains(hostOf(host)))) {
            throw Refusal.invalid(
                    421,
                    "misdirected_request",
                    null,
                    "this server does not answer for the host "
                            + (host == null ? "that is not named" : "\"" + host + "\"")
                            + ": use localhost, or start it with --allow-host NAME");
        }
        String origin = exchange.header("Origin");
        if (origin != null && !isSame(origin, host)) {
            throw Refusal.invalid(
                    403, "cross_origin", null, "pages of " + origin + " may not use this server");
        }
    }

    private static boolean isSame(String origin, @Nullable String host) {
        try {
            String authority = URI.create(origin).getRawAuthority();
            return authority != null && authority.equalsIgnoreCase(host);
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** Returns a host without its port. */
    private static String hostOf(String hostAndPort) {
        int colon = hostAndPort.lastIndexOf(':');
        boolean port = colon > hostAndPort.lastIndexOf(']') && colon >= 0;
        return name(port ? hostAndPort.substring(0, colon) : hostAndPort);
    }

    private static String name(String host) {
        String lower = host.toLowerCase(Locale.ROOT);
        return lower.startsWith("[") && lower.endsWith("]")
                ? lower.substring(1, lower.length() - 1)
                : lower;
    }

    /**
     * Who asks.
     *
     * @throws Refusal if a key is needed and there is none, or a wrong one
     */
    Client client(Exchange exchange) {
        if (options.keys().isEmpty()) {
            return new Client(exchange.remoteAddress(), options.limits());
        }
        byte[] digest = sha256(keyOf(exchange.header("Authorization")));
        ApiKey found = null;
        for (int i = 0; i < digests.size(); i++) { // all of them, whichever it is
            if (MessageDigest.isEqual(digests.get(i), digest)) {
                found = options.keys().get(i);
            }
        }
        if (found == null) {
            throw Refusal.unauthorized();
        }
        return new Client(found.name(), found.limits());
    }

    /** A bearer's key, or the password of HTTP Basic, which AUTOMATIC1111's clients send. */
    private static String keyOf(@Nullable String authorization) {
        String text = authorization == null ? "" : authorization.strip();
        String lower = text.toLowerCase(Locale.ROOT);
        if (lower.startsWith(BEARER)) {
            return text.substring(BEARER.length()).strip();
        }
        if (lower.startsWith(BASIC)) {
            try {
                byte[] decoded = Base64.getDecoder().decode(text.substring(BASIC.length()).strip());
                String pair = new String(decoded, StandardCharsets.UTF_8);
                return pair.substring(pair.indexOf(':') + 1);
            } catch (IllegalArgumentException e) {
                return "";
            }
        }
        return "";
    }

    private static byte[] sha256(String text) {
        try {
            return MessageDigest.getInstance("SHA-256")
                    .digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
