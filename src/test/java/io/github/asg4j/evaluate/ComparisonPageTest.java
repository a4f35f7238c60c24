// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.asg4j.BadRequestException;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;
import io.github.asg4j.Reports;
import io.github.asg4j.Size;
import io.github.asg4j.StageReport;
import io.github.asg4j.evaluate.Comparison.Figure;

import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;

/** The page holds what was drawn, everything it needs, and no markup that came in as text. */
class ComparisonPageTest {
    private static final String EVIL = "<script>alert(\"1\")</script> & 'a' <b>ball</b>";

    private final FakePictureEngine engine = new FakePictureEngine();

    private String page(GenerationRequest base, Set<Figure> figures, String... methods)
            throws Exception {
        Gallery gallery =
                Gallery.draw(
                        Comparison.of(base, List.of(methods), figures),
                        engine,
                        new FakePictureEngine.Ear(),
                        image -> OptionalInt.empty());
        StringBuilder out = new StringBuilder();
        ComparisonPage.of(gallery).writeTo(out);
        return out.toString();
    }

    private String page(String... methods) throws Exception {
        GenerationRequest base = GenerationRequest.builder("a ball").seed(7).build();
        return page(base, Set.of(Figure.values()), methods);
    }

    /** Our pages are XML but for tags that stand alone, and for style and script. */
    private static Document parsed(String page) throws Exception {
        String xml =
                page.replaceAll("(?s)<(style|script)>.*?</\\1>", "<$1></$1>")
                        .replaceAll("<(meta|img|input|br)\\b([^>]*)>", "<$1$2/>");
        return DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new InputSource(new StringReader(xml)));
    }

    private static List<Element> all(Document document, String tag) {
        NodeList nodes = document.getElementsByTagName(tag);
        List<Element> elements = new ArrayList<>();
        for (int i = 0; i < nodes.getLength(); i++) {
            elements.add((Element) nodes.item(i));
        }
        return elements;
    }

    private static List<Element> classed(Document document, String name) {
        return all(document, "*").stream()
                .filter(e -> e.getAttribute("class").equals(name))
                .toList();
    }

    @Test
    void everyPictureIsThereOnceAndCanBeRead() throws Exception {
        Document document = parsed(page("asg", "direct"));
        // Native and two methods; ablation 1 + 2 * 2; sweep 1 + 4 * 4.
        List<Element> views = classed(document, "view");
        assertEquals(3 + 5 + 17, views.size());
        for (Element view : views) {
            Element image = (Element) view.getFirstChild();
            BufferedImage picture = read(image);
            assertEquals(Integer.toString(picture.getWidth()), image.getAttribute("width"));
            assertEquals(Integer.toString(picture.getHeight()), image.getAttribute("height"));
            assertTrue(image.getAttribute("alt").startsWith("“a ball” "));
            assertEquals(
                    "aspect-ratio: " + picture.getWidth() + " / " + picture.getHeight(),
                    view.getAttribute("style"));
        }
        // A block and the mask at three steps.
        assertEquals(views.size() + 2 * 3, all(document, "img").size());
    }

    private static BufferedImage read(Element image) throws Exception {
        String start = "data:image/png;base64,";
        String source = image.getAttribute("src");
        assertTrue(source.startsWith(start), source.substring(0, 10));
        byte[] png = Base64.getDecoder().decode(source.substring(start.length()));
        BufferedImage picture = ImageIO.read(new ByteArrayInputStream(png));
        assertNotNull(picture);
        return picture;
    }

    @Test
    void nothingComesFromElsewhere() throws Exception {
        String page = page("asg", "direct");
        for (Element element : all(parsed(page), "*")) {
            assertFalse(
                    Set.of("link", "iframe", "object", "embed", "base", "a")
                            .contains(element.getTagName()),
                    element.getTagName());
            assertEquals("", element.getAttribute("href"));
            assertEquals("", element.getAttribute("srcset"));
            String source = element.getAttribute("src");
            assertTrue(source.isEmpty() || source.startsWith("data:image/png;base64,"), source);
        }
        for (String way : List.of("https?://", "url\\(", "@import", "\\bimport\\b", "fetch\\(")) {
            assertFalse(java.util.regex.Pattern.compile(way).matcher(page).find(), way);
        }
        assertTrue(page.contains("default-src &#39;none&#39;"));
    }

    @Test
    void textIsNoMarkup() throws Exception {
        GenerationRequest base =
                GenerationRequest.builder(EVIL).negativePrompt(EVIL).seed(7).build();
        engine.unplannable.put("direct", new BadRequestException(EVIL));
        StageReport.Windows windows =
                new StageReport.Windows(
                        new Size(8, 8),
                        new Size(1, 1),
                        5,
                        null,
                        new StageReport.Background(0.5, 1, EVIL),
                        null);
        engine.change =
                r ->
                        Reports.with(
                                Reports.with(r, new PictureReport.Cut(EVIL, "")),
                                Reports.with(r.plan(), List.of(Reports.stage("stage2", windows))));
        String page = page(base, Set.of(Figure.values()), "asg", "direct");
        assertFalse(page.contains("<script>alert"));
        assertFalse(page.contains("<b>ball"));
        Document document = parsed(page);
        assertEquals("“" + EVIL + "”", all(document, "h1").getFirst().getTextContent());
        assertEquals(1, all(document, "script").size());
    }

    @Test
    void methodThatWasNotDrawnSaysWhy() throws Exception {
        engine.unplannable.put(
                "scalecrafter",
                new BadRequestException("needs dilated_file: export with --dilated"));
        Document document = parsed(page("asg", "scalecrafter"));
        List<Element> refused = classed(document, "refused");
        assertEquals(1, refused.size());
        assertEquals(
                "Not drawnneeds dilated_file: export with --dilated",
                refused.getFirst().getTextContent());
        assertEquals("aspect-ratio: 16 / 8", refused.getFirst().getAttribute("style"));
    }

    @Test
    void columnsWithoutValuesAreAbsent() throws Exception {
        engine.change =
                r ->
                        Reports.with(
                                r,
                                new PictureReport.MemoryUse(
                                        r.memory().devices(), r.memory().host(), -1));
        List<String> heads =
                all(parsed(page("asg")), "th").stream()
                        .filter(th -> th.getAttribute("class").equals("n"))
                        .map(Element::getTextContent)
                        .toList();
        assertEquals(
                List.of("Seconds", "Guided evaluations", "UNet calls", "Barriers", "Buffers, MiB"),
                heads);
    }

    @Test
    void numbersAreThoseOfTheReport() throws Exception {
        List<Element> rows = all(parsed(page("asg")), "tr");
        assertEquals(
                List.of("ASGDiffusion", "1.2", "10", "9", "8", "6.0", "77"), children(rows.get(2)));
    }

    private static List<String> children(Element row) {
        List<String> cells = new ArrayList<>();
        for (int i = 0; i < row.getChildNodes().getLength(); i++) {
            cells.add(row.getChildNodes().item(i).getTextContent());
        }
        return cells;
    }

    @Test
    void sameSettingsAreSaidOnceAndOthersInTheTable() throws Exception {
        assertTrue(
                page("asg", "direct")
                        .contains(
                                "All methods: Euler scheduler, leading timesteps, 50 steps,"
                                        + " η\u00a0=\u00a00, classifier-free guidance scale 5, no"
                                        + " negative prompt, the same starting noise.<"));
    }

    @Test
    void whatPapersWantDifferentlyIsInTheTable() throws Exception {
        engine.changeOf.put(
                "direct", r -> Reports.with(r, Reports.sampling("ddim", "leading", 1, 5)));
        GenerationRequest base =
                GenerationRequest.builder("a ball").seed(7).paperDefaults(true).build();
        String page = page(base, Set.of(), "asg", "direct");
        assertTrue(page.contains("They differ in scheduler, eta: see the table."), page);
        assertTrue(page.contains("are no controlled comparison"));
        List<Element> rows = all(parsed(page), "tr");
        assertEquals(List.of("euler", "0"), last(children(rows.get(2))));
        assertEquals(List.of("ddim", "1"), last(children(rows.get(3))));
    }

    private static List<String> last(List<String> cells) {
        return cells.subList(cells.size() - 2, cells.size());
    }
}
