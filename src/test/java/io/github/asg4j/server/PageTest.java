// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.net.http.HttpResponse;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

class PageTest {
    private static final Pattern REFERENCE =
            Pattern.compile("(?:src|href)=\"([^\"#]+)\"|from '\\./([^']+)'");

    @Test
    void everyFileIsThereNeedsNoKeyAndComesFromHere() {
        ServerOptions options =
                TestServer.options()
                        .withKeys(List.of(new ApiKey("ann", "secret-of-ann", Limits.NONE)));
        try (TestServer server = new TestServer(options)) {
            Deque<String> open = new ArrayDeque<>(List.of("/"));
            Set<String> seen = new HashSet<>(open);
            while (!open.isEmpty()) {
                String path = open.remove();
                HttpResponse<String> file = server.get(path);
                assertEquals(200, file.statusCode(), path);
                String policy = file.headers().firstValue("Content-Security-Policy").orElseThrow();
                assertTrue(policy.startsWith("default-src 'none'"), policy);
                assertFalse(policy.contains("unsafe"), policy);
                assertEquals(
                        "nosniff",
                        file.headers().firstValue("X-Content-Type-Options").orElseThrow());
                String body = file.body().replace("http://www.w3.org/2000/svg", "");
                assertFalse(body.matches("(?s).*(https?:)?//[a-z]+\\.[a-z].*"), path);
                Matcher reference = REFERENCE.matcher(body);
                while (reference.find()) {
                    String named =
                            reference.group(1) == null
                                    ? "/page/" + reference.group(2)
                                    : "/" + reference.group(1);
                    if (seen.add(named)) {
                        open.add(named);
                    }
                }
            }
            assertTrue(seen.containsAll(Set.of("/page/app.js", "/page/png.js")), seen::toString);
            assertEquals(404, server.get("/page/../Page.class").statusCode());
        }
    }
}
