// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The page that people draw with: a few files of the jar, and nothing from anywhere else. */
final class Page {
    /** Scripts, styles and addresses of this server only; no page may frame it. */
    private static final String POLICY =
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
                    + " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors"
                    + " 'none'";

    private static final Map<String, String> MEDIA_TYPES =
            Map.of(
                    "html", "text/html; charset=utf-8",
                    "css", "text/css; charset=utf-8",
                    "js", "text/javascript; charset=utf-8",
                    "svg", "image/svg+xml");

    private static final List<String> FILES =
            List.of(
                    "icon.svg",
                    "style.css",
                    "app.js",
                    "api.js",
                    "history.js",
                    "options.js",
                    "png.js",
                    "viewer.js");

    private Page() {}

    static List<Route> routes() {
        List<Route> routes = new ArrayList<>();
        routes.add(route("/", "index.html"));
        FILES.forEach(file -> routes.add(route("/page/" + file, file)));
        return routes;
    }

    private static Route route(String path, String file) {
        byte[] content = content(file);
        String type = MEDIA_TYPES.get(file.substring(file.lastIndexOf('.') + 1));
        return Route.get(
                        path,
                        exchange -> {
                            exchange.header("Content-Security-Policy", POLICY);
                            exchange.header("Referrer-Policy", "no-referrer");
                            exchange.header("Cache-Control", "no-cache");
                            exchange.answer(200, String.valueOf(type), content);
                        })
                .forAll();
    }

    private static byte[] content(String file) {
        try (InputStream in = Page.class.getResourceAsStream("page/" + file)) {
            if (in == null) {
                throw new IllegalStateException("the jar has no " + file);
            }
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException("the jar cannot be read", e);
        }
    }
}
