// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

import javax.xml.parsers.DocumentBuilderFactory;

/** Which rows are on the front, and where the points of a chart lie. */
class ParetoChartTest {
    private static final ParetoChart.Panel SHARE = panel("one_object_share");
    private static final ParetoChart.Panel KID = panel("kid");
    private static final ParetoChart.Panel SEAM = panel("seam");

    private static ParetoChart.Panel panel(String measure) {
        return ParetoChart.PANELS.stream()
                .filter(p -> p.measure().equals(measure))
                .findFirst()
                .orElseThrow();
    }

    /** A row of ten pictures; the intervals reach a tenth to both sides. */
    private static Summary.Row row(
            String method, int width, String setting, double evaluations, Object... measures) {
        Map<String, Interval> values = new LinkedHashMap<>();
        if (!Double.isNaN(evaluations)) {
            values.put(
                    Measures.NATIVE_EVALUATIONS,
                    new Interval(evaluations, evaluations, evaluations));
        }
        for (int i = 0; i < measures.length; i += 2) {
            double value = (double) measures[i + 1];
            values.put((String) measures[i], new Interval(value, value * 0.9, value * 1.1));
        }
        EvaluationRow.Key key = new EvaluationRow.Key(method, width, width, setting);
        return new Summary.Row(key, 10, values, null, 0, Map.of());
    }

    private static Document svg(Summary.Row... rows) throws Exception {
        Html chart = Objects.requireNonNull(ParetoChart.of(new Summary(List.of(rows), Map.of())));
        StringBuilder text = new StringBuilder();
        chart.writeTo(text);
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
        return factory.newDocumentBuilder().parse(new ByteArrayInputStream(bytes));
    }

    private static List<Element> all(org.w3c.dom.Node of, String tag) {
        NodeList nodes =
                of instanceof Document document
                        ? document.getElementsByTagName(tag)
                        : ((Element) of).getElementsByTagName(tag);
        List<Element> elements = new ArrayList<>();
        for (int i = 0; i < nodes.getLength(); i++) {
            elements.add((Element) nodes.item(i));
        }
        return elements;
    }

    private static List<Element> panels(Document svg, String measure) {
        return all(svg, "g").stream()
                .filter(g -> g.getAttribute("data-measure").equals(measure))
                .toList();
    }

    /** What stands for row {@code number} in a panel. */
    private static Element mark(Element panel, int number) {
        return all(panel, "g").stream()
                .filter(g -> g.getAttribute("data-row").equals(Integer.toString(number)))
                .findFirst()
                .orElseThrow();
    }

    private static double number(Element element, String attribute) {
        return Double.parseDouble(element.getAttribute(attribute));
    }

    /** Evaluations 285, 52, 450 and 285 once more. */
    @ParameterizedTest
    @CsvSource({
        "one_object_share, 0.92, 1.00, 0.10, 0.95, 2",
        "one_object_share, 0.92, 0.80, 0.99, 0.95, 2 4 3",
        "one_object_share, 0.92, 0.92, 0.92, 0.92, 2",
        "kid,              0.30, 0.40, 0.20, 0.35, 2 1 3",
        "kid,              0.30, 0.20, -0.01, 0.35, 2 3",
        "seam,             1.13, 1.20, 1.05, 0.90, 2 4 3",
        "sharpness,        0.20, 0.21, 7.80, 0.19, 2",
        "sharpness,        0.20, NaN,  0.30, 0.19, 1 3",
    })
    void theFrontHasWhatNothingCheaperReaches(
            String measure, double a, double b, double c, double d, String front) {
        ParetoChart.Panel panel = panel(measure);
        double[] evaluations = {285, 52, 450, 285};
        double[] values = {a, b, c, d};
        List<Summary.Row> rows = new ArrayList<>();
        for (int i = 0; i < values.length; i++) {
            rows.add(
                    Double.isNaN(values[i])
                            ? row("m" + i, 256, "default", evaluations[i])
                            : row("m" + i, 256, "default", evaluations[i], measure, values[i]));
        }
        List<ParetoChart.Point> points = ParetoChart.points(panel, rows);
        List<String> numbers =
                ParetoChart.front(panel, points).stream()
                        .map(point -> Integer.toString(point.number()))
                        .toList();
        assertEquals(front, String.join(" ", numbers));
    }

    @Test
    void pointsLieAtTheLogarithmOfTheirEvaluationsAndAtTheirValue() throws Exception {
        Document svg =
                svg(
                        row("asg", 256, "default", 400, SHARE.measure(), 0.9),
                        row("relay", 256, "default", 100, SHARE.measure(), 0.5),
                        row("relay", 256, "long", 200, SHARE.measure(), 0.7));
        Element panel = panels(svg, SHARE.measure()).getFirst();
        double[] x = new double[3];
        double[] y = new double[3];
        for (int i = 0; i < 3; i++) {
            Element dot = all(mark(panel, i + 1), "circle").getFirst();
            x[i] = number(dot, "cx");
            y[i] = number(dot, "cy");
        }
        assertEquals((x[0] + x[1]) / 2, x[2], 0.02, "200 is in the middle of 100 and 400");
        assertEquals((y[0] + y[1]) / 2, y[2], 0.02, "0.7 is in the middle of 0.5 and 0.9");
        assertTrue(x[0] > x[1] && y[0] < y[1], "more is to the right and up");
        // Bars are from nine tenths to eleven of the value.
        Element bar = all(mark(panel, 2), "line").getFirst();
        double unit = (y[1] - y[0]) / 0.4;
        assertEquals(0.1 * unit, number(bar, "y1") - number(bar, "y2"), 0.05);
        assertEquals(number(bar, "x1"), x[1], 0);
    }

    @Test
    void pointsOfTheFrontAreFilledInTheColourOfTheirMethod() throws Exception {
        Document svg =
                svg(
                        row("asg", 256, "default", 285, KID.measure(), 0.4),
                        row("relay", 256, "default", 52, KID.measure(), 0.2),
                        row("relay", 256, "long", 80, KID.measure(), 0.1));
        Element panel = panels(svg, KID.measure()).getFirst();
        List<Element> dots = new ArrayList<>();
        for (int i = 1; i <= 3; i++) {
            dots.add(all(mark(panel, i), "circle").getFirst());
        }
        assertEquals("#ffffff", dots.get(0).getAttribute("fill"));
        assertEquals(dots.get(1).getAttribute("stroke"), dots.get(1).getAttribute("fill"));
        assertEquals(dots.get(1).getAttribute("fill"), dots.get(2).getAttribute("fill"));
        assertTrue(!dots.get(0).getAttribute("stroke").equals(dots.get(1).getAttribute("stroke")));
        // The line goes through both, from the left to the end of the panel.
        String path = all(panel, "path").getFirst().getAttribute("d");
        String from = dots.get(1).getAttribute("cx") + " " + dots.get(1).getAttribute("cy");
        String to = " H" + dots.get(2).getAttribute("cx") + " V" + dots.get(2).getAttribute("cy");
        assertEquals("M" + from + to + " H400", path);
    }

    @Test
    void whatIsFarBeyondTheOthersIsATriangleAtTheEdgeThatSaysItsValue() throws Exception {
        Document svg =
                svg(
                        row("asg", 256, "default", 285, KID.measure(), 0.3),
                        row("asg", 256, "noise", 285, KID.measure(), 3486.7),
                        row("relay", 256, "default", 52, KID.measure(), 0.2));
        Element panel = panels(svg, KID.measure()).getFirst();
        Element far = mark(panel, 2);
        assertEquals(0, all(far, "circle").size());
        assertTrue(all(far, "polygon").getFirst().getAttribute("points").contains(",0 "));
        assertEquals("2: 3486.7", all(far, "text").getFirst().getTextContent());
        double apart =
                number(all(mark(panel, 3), "circle").getFirst(), "cy")
                        - number(all(mark(panel, 1), "circle").getFirst(), "cy");
        assertTrue(apart > 50, "the others keep the panel: " + apart);
    }

    @Test
    void sizesHavePanelsOfTheirOwnAndALegend() throws Exception {
        Document svg =
                svg(
                        row("asg", 256, "default", 285, SEAM.measure(), 1.13),
                        row("asg", 512, "default", 1361, SEAM.measure(), 1.06),
                        row("asg", 256, "a<b>&".replaceAll("[^a-z]", "-"), 285));
        assertEquals(2, panels(svg, SEAM.measure()).size());
        String text = svg.getDocumentElement().getTextContent();
        assertTrue(text.contains("256x256 pixels") && text.contains("512x512 pixels"), text);
        assertTrue(text.contains("1  asg: 1361 evaluations, n = 10"), text);
        assertTrue(text.contains("2  asg a-b--: 285 evaluations, n = 10"), text);
        assertTrue(text.contains("not measured"), text);
        assertEquals(1, all(panels(svg, SEAM.measure()).getFirst(), "circle").size());
    }

    @Test
    void rowsThatDoNotSayWhatTheyTookAreLeftOut() throws Exception {
        Summary.Row older = row("asg", 256, "older", Double.NaN, KID.measure(), 0.1);
        assertNull(ParetoChart.of(new Summary(List.of(older), Map.of())));
        Document svg = svg(older, row("asg", 256, "default", 285, KID.measure(), 0.3));
        assertNotNull(mark(panels(svg, KID.measure()).getFirst(), 1));
        assertTrue(!svg.getDocumentElement().getTextContent().contains("older"));
    }
}
