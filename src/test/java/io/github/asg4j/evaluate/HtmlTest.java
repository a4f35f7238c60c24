// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.CancelledException;
import io.github.asg4j.OutputException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/** No text can become markup, and a page is there as a whole or not at all. */
class HtmlTest {
    @TempDir Path folder;

    private static String written(Html html) throws IOException {
        StringBuilder out = new StringBuilder();
        html.writeTo(out);
        return out.toString();
    }

    @Test
    void textIsEscaped() throws IOException {
        assertEquals(
                "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp;amp; it&#39;s é 红</p>",
                written(Html.element("p", "<script>alert(1)</script> &amp; it's é 红")));
        assertEquals("a b c", written(Html.text("a\0b\u0085c")));
    }

    @Test
    void attributesAreEscaped() throws IOException {
        Html.Element element = Html.element("p").with("title", "\" onclick=\"alert('1')");
        assertEquals("<p title=\"&quot; onclick=&quot;alert(&#39;1&#39;)\"></p>", written(element));
    }

    @Test
    void elementsNest() throws IOException {
        Html.Element list = Html.element("ul").classed("a");
        assertEquals(
                "<ul class=\"b\"><li>1<br></li><li></li></ul>",
                written(
                        list.classed("b")
                                .add(
                                        Html.element("li", Html.text("1"), Html.element("br")),
                                        Html.element("li"))));
        assertEquals("<ul class=\"a\"></ul>", written(list), "unchanged");
    }

    @Test
    void wrongNamesAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> Html.element("p onclick"));
        assertThrows(IllegalArgumentException.class, () -> Html.element("p").with("a b", ""));
        assertThrows(IllegalArgumentException.class, () -> Html.element("br", "text"));
    }

    @Test
    void scriptsThatEndThemselvesAreRefused() {
        assertThrows(
                IllegalArgumentException.class,
                () -> new Html.Verbatim("script", "a = '</SCRIPT>'"));
        assertThrows(IllegalArgumentException.class, () -> new Html.Verbatim("script", "<!--"));
    }

    @Test
    void picturesOfAnyLengthStayWhole() throws IOException {
        Random random = new Random(1);
        for (int length : new int[] {1, 2, 3, 49_151, 49_152, 49_153, 100_000}) {
            byte[] file = new byte[length];
            random.nextBytes(file);
            String image = written(new Html.Png(file, 4, 3, "a \"ball\""));
            assertTrue(image.startsWith("<img alt=\"a &quot;ball&quot;\" width=\"4\" "), image);
            String start = "src=\"data:image/png;base64,";
            String data =
                    image.substring(image.indexOf(start) + start.length(), image.length() - 2);
            assertArrayEquals(file, Base64.getDecoder().decode(data));
        }
    }

    @Test
    void pageIsWritten() throws IOException {
        Path file = folder.resolve("a.html");
        page(1).write(file, () -> false);
        String page = Files.readString(file);
        assertTrue(page.startsWith("<!DOCTYPE html>"), page);
        assertTrue(page.contains("<title>1 &lt; 2</title>"), page);
        assertTrue(page.contains("<p>红</p>"), page);
        assertEquals(List.of(file), files());
    }

    @Test
    void cancelledPageLeavesTheOldFile() throws IOException {
        Path file = Files.writeString(folder.resolve("a.html"), "old");
        int[] asked = {0};
        assertThrows(
                CancelledException.class, () -> page(100_000).write(file, () -> ++asked[0] > 3));
        assertEquals("old", Files.readString(file));
        assertEquals(List.of(file), files());
    }

    @Test
    void folderThatIsNotThereIsAnOutputFailure() {
        Path file = folder.resolve("none/a.html");
        OutputException e =
                assertThrows(OutputException.class, () -> page(1).write(file, () -> false));
        assertTrue(e.getMessage().contains("no such folder"), e.getMessage());
        assertFalse(Files.exists(file));
    }

    private static HtmlPage page(int parts) {
        return new HtmlPage(
                "1 < 2",
                List.of(),
                Stream.generate(() -> Html.element("p", "红")).limit(parts).toList());
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }
}
