// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.CancelledException;
import io.github.asg4j.OutputException;
import io.github.asg4j.image.OutputFile;

import java.io.BufferedWriter;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * A page that needs nothing beside itself: style and scripts are inside, and it forbids the browser
 * to fetch anything.
 *
 * @param title of the window
 * @param scripts resources of this package, as in "zoom.js", run when the page is there
 * @param body content of the body
 */
public record HtmlPage(String title, List<String> scripts, List<? extends Html> body) {
    private static final String POLICY =
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src"
                    + " 'unsafe-inline'";

    public HtmlPage {
        scripts = List.copyOf(scripts);
        body = List.copyOf(body);
    }

    /**
     * Writes the page under a temporary name and moves it into place.
     *
     * @param cancelled asked again and again while it is written
     * @throws OutputException if the file cannot be written; no temporary file stays
     * @throws CancelledException if {@code cancelled} said so; no file stays
     */
    public void write(Path file, BooleanSupplier cancelled) {
        OutputFile.write(
                file,
                out -> {
                    OutputStream stream = new Cancellable(out, cancelled);
                    Writer writer =
                            new BufferedWriter(
                                    new OutputStreamWriter(stream, StandardCharsets.UTF_8));
                    writeTo(writer);
                    writer.flush();
                });
    }

    /** Appends the page, to be encoded as UTF-8. */
    void writeTo(Appendable out) throws IOException {
        out.append("<!DOCTYPE html>\n<html lang=\"en\">\n");
        head().writeTo(out);
        out.append("\n<body>\n");
        for (Html part : body) {
            part.writeTo(out);
            out.append('\n');
        }
        for (String script : scripts) {
            new Html.Verbatim("script", resource(script)).writeTo(out);
            out.append('\n');
        }
        out.append("</body>\n</html>\n");
    }

    private Html head() {
        return Html.element(
                "head",
                Html.element("meta").with("charset", "utf-8"),
                meta("name", "viewport", "width=device-width, initial-scale=1"),
                meta("name", "color-scheme", "light dark"),
                meta("http-equiv", "Content-Security-Policy", POLICY),
                Html.element("title", title),
                new Html.Verbatim("style", resource("page.css")));
    }

    private static Html meta(String kind, String name, String content) {
        return Html.element("meta").with(kind, name).with("content", content);
    }

    private static String resource(String name) {
        try (InputStream in = HtmlPage.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IllegalStateException("the resource " + name + " is not in the jar");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("the resource " + name + " cannot be read", e);
        }
    }

    /** Passes bytes on, unless it is cancelled. */
    private static final class Cancellable extends FilterOutputStream {
        private final BooleanSupplier cancelled;

        Cancellable(OutputStream out, BooleanSupplier cancelled) {
            super(out);
            this.cancelled = cancelled;
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            if (cancelled.getAsBoolean()) {
                throw new CancelledException("cancelled while the page was written");
            }
            out.write(bytes, from, count);
        }
    }
}
