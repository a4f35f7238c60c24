// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * A piece of an HTML page as data. Text and attributes are escaped when they are written, so that no
 * prompt can become markup, and elements cannot be nested wrongly. Immutable.
 */
public sealed interface Html {
    /** Appends the markup; characters beyond ASCII stay as they are. */
    void writeTo(Appendable out) throws IOException;

    static Html text(String value) {
        return new Text(value);
    }

    static Element element(String tag, Html... children) {
        return new Element(tag, Map.of(), List.of(children));
    }

    static Element element(String tag, String text) {
        return element(tag, new Text(text));
    }

    /** Characters. */
    record Text(String value) implements Html {
        @Override
        public void writeTo(Appendable out) throws IOException {
            escape(value, out);
        }
    }

    /** A tag with attributes, in the order in which they were given, and content. */
    record Element(String tag, Map<String, String> attributes, List<Html> children)
            implements Html {
        private static final Pattern NAME = Pattern.compile("[a-z][a-zA-Z0-9-]*");
        private static final Set<String> VOID = Set.of("meta", "br", "hr", "img", "input", "col");

        public Element {
            attributes = Collections.unmodifiableMap(new LinkedHashMap<>(attributes));
            children = List.copyOf(children);
            check(tag);
            attributes.keySet().forEach(Element::check);
            if (VOID.contains(tag) && !children.isEmpty()) {
                throw new IllegalArgumentException("<" + tag + "> cannot have content");
            }
        }

        private static void check(String name) {
            if (!NAME.matcher(name).matches()) {
                throw new IllegalArgumentException("'" + name + "' is no name of a tag");
            }
        }

        /** The same with one more attribute, or another value of it. */
        public Element with(String name, String value) {
            Map<String, String> more = new LinkedHashMap<>(attributes);
            more.put(name, value);
            return new Element(tag, more, children);
        }

        /** The same with the attribute {@code class}. */
        public Element classed(String names) {
            return with("class", names);
        }

        /** The same with more content at its end. */
        public Element add(Html... more) {
            return add(Arrays.asList(more));
        }

        /** The same with more content at its end. */
        public Element add(List<? extends Html> more) {
            List<Html> all = new ArrayList<>(children);
            all.addAll(more);
            return new Element(tag, attributes, all);
        }

        @Override
        public void writeTo(Appendable out) throws IOException {
            out.append('<').append(tag);
            writeAttributes(attributes, out);
            out.append('>');
            if (VOID.contains(tag)) {
                return;
            }
            for (Html child : children) {
                child.writeTo(out);
            }
            out.append("</").append(tag).append('>');
        }
    }

    /**
     * A picture inside of the page.
     *
     * @param png a PNG file; not copied
     * @param width pixels
     * @param height pixels
     * @param alt what those read who do not see it
     */
    record Png(byte[] png, int width, int height, String alt) implements Html {
        /** A multiple of 3, so that the pieces need no padding between them. */
        private static final int CHUNK_BYTES = 3 << 14;

        @Override
        public void writeTo(Appendable out) throws IOException {
            out.append("<img");
            Map<String, String> attributes = new LinkedHashMap<>();
            attributes.put("alt", alt);
            attributes.put("width", Integer.toString(width));
            attributes.put("height", Integer.toString(height));
            attributes.put("decoding", "async");
            attributes.put("draggable", "false");
            writeAttributes(attributes, out);
            out.append(" src=\"data:image/png;base64,");
            for (int at = 0; at < png.length; at += CHUNK_BYTES) {
                byte[] chunk = Arrays.copyOfRange(png, at, Math.min(png.length, at + CHUNK_BYTES));
                out.append(
                        new String(Base64.getEncoder().encode(chunk), StandardCharsets.ISO_8859_1));
            }
            out.append("\">");
        }
    }

    /**
     * The content of a style or script element, which HTML takes as it is.
     *
     * @param tag "style" or "script"
     */
    record Verbatim(String tag, String content) implements Html {
        public Verbatim {
            String lower = content.toLowerCase(Locale.ROOT);
            if (lower.contains("</" + tag) || lower.contains("<!--")) {
                throw new IllegalArgumentException("the text would end its <" + tag + "> element");
            }
        }

        @Override
        public void writeTo(Appendable out) throws IOException {
            out.append('<').append(tag).append(">\n").append(content);
            out.append("</").append(tag).append('>');
        }
    }

    private static void writeAttributes(Map<String, String> attributes, Appendable out)
            throws IOException {
        for (Map.Entry<String, String> attribute : attributes.entrySet()) {
            out.append(' ').append(attribute.getKey()).append("=\"");
            escape(attribute.getValue(), out);
            out.append('"');
        }
    }

    private static void escape(String text, Appendable out) throws IOException {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '&' -> out.append("&amp;");
                case '<' -> out.append("&lt;");
                case '>' -> out.append("&gt;");
                case '"' -> out.append("&quot;");
                case '\'' -> out.append("&#39;");
                default -> {
                    // HTML has no control characters but white space.
                    boolean control = Character.isISOControl(c) && c != '\n' && c != '\t';
                    out.append(control ? ' ' : c);
                }
            }
        }
    }
}
