// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What answers a kind of request.
 *
 * @param method of HTTP
 * @param path with {@code {name}} for a segment that may be anything
 * @param open whether no API key is asked for
 */
record Route(String method, String path, boolean open, Action action) {
    /** Answers a request. */
    @FunctionalInterface
    interface Action {
        /**
         * @throws Exception what went wrong, to be told to the client
         */
        void answer(Exchange exchange) throws Exception;
    }

    static Route get(String path, Action action) {
        return new Route("GET", path, false, action);
    }

    static Route post(String path, Action action) {
        return new Route("POST", path, false, action);
    }

    static Route delete(String path, Action action) {
        return new Route("DELETE", path, false, action);
    }

    /** The same for everybody. */
    Route forAll() {
        return new Route(method, path, true, action);
    }

    /** The values of the named segments; null: another path. */
    @Nullable Map<String, String> match(String requested) {
        if (path.indexOf('{') < 0) {
            return path.equals(requested) ? Map.of() : null;
        }
        String[] pattern = path.split("/", -1);
        String[] segments = requested.split("/", -1);
        if (pattern.length != segments.length) {
            return null;
        }
        Map<String, String> values = new LinkedHashMap<>();
        for (int i = 0; i < pattern.length; i++) {
            if (pattern[i].startsWith("{")) {
                values.put(pattern[i].substring(1, pattern[i].length() - 1), segments[i]);
            } else if (!pattern[i].equals(segments[i])) {
                return null;
            }
        }
        return values;
    }
}
