// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static io.github.asg4j.evaluate.Html.element;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Quality against what a picture takes, as SVG: for each size a panel of points for each measure, one
 * point a row of the summary. The line joins the Pareto front, the rows that no other row is at least
 * as good as with as few evaluations; their points are filled.
 */
final class ParetoChart {
    /** What a reader has to know, in HTML and beside the chart. */
    static final String CAPTION =
            "Native evaluations of the denoiser a picture, on a logarithmic axis: its latent cells"
                + " over those of a guided evaluation of native size. Bars are 95 % intervals. The"
                + " line and the filled points are the Pareto front. A triangle is beyond the"
                + " panel.";

    private static final int WIDTH = 960;
    private static final int LEFT = 56;
    private static final int PANEL_WIDTH = 400;
    private static final int PANEL_HEIGHT = 200;
    private static final int COLUMN = WIDTH / 2;
    private static final int LINE = PANEL_HEIGHT + 72;
    private static final int HEAD = 30;
    private static final int ENTRY = 18;
    private static final int MOST_ENTRIES_A_LINE = 3;

    /** Room for a character of the legend. */
    private static final int CHARACTER = 7;

    private static final double RADIUS = 4;

    /** Values of more than so many medians are drawn at the panel's edge. */
    private static final double MOST_MEDIANS = 4;

    private static final String INK = "#1c1c1a";
    private static final String PALE = "#dddcd7";

    /** One a method, in the order of the methods' first rows; told apart by most colour-blind people. */
    private static final List<String> COLOURS =
            List.of(
                    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00",
                    "#6a6a66");

    /** Which of two values is the better one. */
    enum Goal {
        MORE,
        LESS,
        NEAR_ONE;

        /** The larger, the better. */
        double score(double value) {
            return switch (this) {
                case MORE -> value;
                case LESS -> -value;
                case NEAR_ONE -> -Math.abs(value - 1);
            };
        }
    }

    /**
     * What a panel shows.
     *
     * @param factor values are shown times this
     */
    record Panel(String title, String measure, double factor, Goal goal) {}

    static final List<Panel> PANELS =
            List.of(
                    new Panel("exactly one object, %", "one_object_share", 100, Goal.MORE),
                    new Panel("KID, less is better", "kid", 1, Goal.LESS),
                    new Panel(
                            "sharpness, 1 is the true pictures\u2019",
                            "sharpness",
                            1,
                            Goal.NEAR_ONE),
                    new Panel("seam, 1 is none", "seam", 1, Goal.NEAR_ONE));

    /**
     * A row in a panel.
     *
     * @param number of the row in the legend, from 1 on
     * @param evaluations native ones
     * @param shown the measure, times the panel's factor
     */
    record Point(int number, Summary.Row row, double evaluations, Interval shown) {}

    private final Map<String, String> colours = new LinkedHashMap<>();

    private ParetoChart(List<Summary.Row> rows) {
        for (Summary.Row row : rows) {
            colours.computeIfAbsent(
                    row.key().method(), method -> COLOURS.get(colours.size() % COLOURS.size()));
        }
    }

    /** The chart; null: no row says how many evaluations its pictures took. */
    static Html.@Nullable Element of(Summary summary) {
        SequencedMap<String, List<Summary.Row>> bySize = new LinkedHashMap<>();
        for (Summary.Row row : summary.rows()) {
            if (row.measures().containsKey(Measures.NATIVE_EVALUATIONS)) {
                bySize.computeIfAbsent(row.key().size(), size -> new ArrayList<>()).add(row);
            }
        }
        if (bySize.isEmpty()) {
            return null;
        }
        ParetoChart chart = new ParetoChart(summary.rows());
        List<Html> parts = new ArrayList<>();
        int top = 0;
        for (Map.Entry<String, List<Summary.Row>> size : bySize.entrySet()) {
            parts.add(moved(0, top, chart.size(size.getKey(), size.getValue())));
            top += chart.height(size.getValue());
        }
        String box = "0 0 " + WIDTH + " " + top;
        return element("svg")
                .with("xmlns", "http://www.w3.org/2000/svg")
                .with("viewBox", box)
                .with("width", Integer.toString(WIDTH))
                .with("height", Integer.toString(top))
                .with("font-family", "system-ui, 'Segoe UI', 'Noto Sans', Arial, sans-serif")
                .with("font-size", "12")
                .with("fill", INK)
                .add(element("title", "Quality against native evaluations"))
                .add(rectangle(0, 0, WIDTH, top).with("fill", "#ffffff"))
                .add(parts);
    }

    /** Pixels of a size with these rows. */
    private int height(List<Summary.Row> rows) {
        int panels = Math.ceilDiv(PANELS.size(), 2) * LINE;
        return HEAD + panels + Math.ceilDiv(rows.size(), entriesALine(rows)) * ENTRY + HEAD;
    }

    /** As many columns of the legend as have room for its longest entry. */
    private int entriesALine(List<Summary.Row> rows) {
        int longest =
                rows.stream().mapToInt(row -> text(rows.size(), row).length()).max().orElse(1);
        return Math.clamp((WIDTH - LEFT) / (CHARACTER * (longest + 2)), 1, MOST_ENTRIES_A_LINE);
    }

    private Html.Element size(String size, List<Summary.Row> rows) {
        List<Html> parts = new ArrayList<>();
        parts.add(
                label(LEFT, 22, "start", size + " pixels")
                        .with("font-size", "16")
                        .with("font-weight", "600"));
        Axis across =
                Axis.logarithmic(
                        rows.stream()
                                .mapToDouble(row -> value(row, Measures.NATIVE_EVALUATIONS).value())
                                .toArray());
        for (int i = 0; i < PANELS.size(); i++) {
            int x = LEFT + i % 2 * COLUMN;
            int y = HEAD + 28 + i / 2 * LINE;
            parts.add(moved(x, y, panel(PANELS.get(i), rows, across)));
        }
        int below = HEAD + Math.ceilDiv(PANELS.size(), 2) * LINE + 8;
        int columns = entriesALine(rows);
        for (int i = 0; i < rows.size(); i++) {
            int x = LEFT + i % columns * (WIDTH - LEFT) / columns;
            parts.add(moved(x, below + i / columns * ENTRY, entry(i + 1, rows.get(i))));
        }
        return element("g").add(parts);
    }

    private static Interval value(Summary.Row row, String measure) {
        Interval interval = row.measures().get(measure);
        return interval == null ? new Interval(Double.NaN, Double.NaN, Double.NaN) : interval;
    }

    /** A line of the legend. */
    private Html.Element entry(int number, Summary.Row row) {
        return element(
                "g", dot(4, -4, colour(row), true), label(14, 0, "start", text(number, row)));
    }

    private static String text(int number, Summary.Row row) {
        return number
                + "  "
                + name(row)
                + ": "
                + number(value(row, Measures.NATIVE_EVALUATIONS).value())
                + " evaluations, n = "
                + row.n();
    }

    private static String name(Summary.Row row) {
        return row.key().method()
                + (row.key().setting().equals("default") ? "" : " " + row.key().setting());
    }

    private String colour(Summary.Row row) {
        return colours.getOrDefault(row.key().method(), INK);
    }

    /** Points of the rows that have the panel's measure. */
    static List<Point> points(Panel panel, List<Summary.Row> rows) {
        return IntStream.range(0, rows.size())
                .mapToObj(
                        i -> {
                            Summary.Row row = rows.get(i);
                            Interval v = value(row, panel.measure());
                            double f = panel.factor();
                            return new Point(
                                    i + 1,
                                    row,
                                    value(row, Measures.NATIVE_EVALUATIONS).value(),
                                    new Interval(v.value() * f, v.low() * f, v.high() * f));
                        })
                .filter(point -> !Double.isNaN(point.shown().value()))
                .toList();
    }

    /** The points that are better than all with as few evaluations or fewer, by ascending evaluations. */
    static List<Point> front(Panel panel, List<Point> points) {
        Comparator<Point> order =
                Comparator.comparingDouble(Point::evaluations)
                        .thenComparingDouble(p -> -score(panel, p));
        List<Point> front = new ArrayList<>();
        for (Point point : points.stream().sorted(order).toList()) {
            if (front.isEmpty() || score(panel, point) > score(panel, front.getLast())) {
                front.add(point);
            }
        }
        return front;
    }

    private static double score(Panel panel, Point point) {
        return panel.goal().score(point.shown().value() / panel.factor());
    }

    private Html.Element panel(Panel panel, List<Summary.Row> rows, Axis across) {
        List<Point> points = points(panel, rows);
        List<Html> parts = new ArrayList<>();
        parts.add(label(0, -8, "start", panel.title()).with("font-weight", "600"));
        if (points.isEmpty()) {
            parts.add(label(PANEL_WIDTH / 2.0, PANEL_HEIGHT / 2.0, "middle", "not measured"));
            return element("g").add(parts);
        }
        Axis up = Axis.of(points.stream().map(Point::shown).toList());
        for (double tick : across.ticks()) {
            double x = across.at(tick) * PANEL_WIDTH;
            parts.add(line(x, 0, x, PANEL_HEIGHT).with("stroke", PALE));
            parts.add(label(x, PANEL_HEIGHT + 16, "middle", number(tick)));
        }
        for (double tick : up.ticks()) {
            double y = (1 - up.at(tick)) * PANEL_HEIGHT;
            parts.add(line(0, y, PANEL_WIDTH, y).with("stroke", PALE));
            parts.add(label(-6, y + 4, "end", number(tick)));
        }
        parts.add(
                label(
                        PANEL_WIDTH / 2.0,
                        PANEL_HEIGHT + 32,
                        "middle",
                        "native evaluations a picture"));
        List<Point> front = front(panel, points);
        parts.add(steps(front, across, up));
        Labels labels = new Labels();
        for (Point point : points) {
            labels.keepFree(across.at(point.evaluations()) * PANEL_WIDTH, y(point, up));
        }
        for (Point point : points) {
            parts.add(mark(point, front.contains(point), across, up, labels));
        }
        return element("g").with("data-measure", panel.measure()).add(parts);
    }

    private static double y(Point point, Axis up) {
        return (1 - Math.clamp(up.at(point.shown().value()), 0.0, 1.0)) * PANEL_HEIGHT;
    }

    /** What can be had for so many evaluations, from the left to the right. */
    private static Html.Element steps(List<Point> front, Axis across, Axis up) {
        StringBuilder path = new StringBuilder();
        for (Point point : front) {
            double x = across.at(point.evaluations()) * PANEL_WIDTH;
            String y = number(y(point, up));
            path.append(path.isEmpty() ? "M" + number(x) + " " + y : " H" + number(x) + " V" + y);
        }
        path.append(" H").append(PANEL_WIDTH);
        return element("path")
                .with("d", path.toString())
                .with("fill", "none")
                .with("stroke", "#8a8a85")
                .with("stroke-dasharray", "4 3");
    }

    private Html.Element mark(Point point, boolean front, Axis across, Axis up, Labels labels) {
        double x = across.at(point.evaluations()) * PANEL_WIDTH;
        double y = y(point, up);
        double value = point.shown().value();
        boolean inside = up.at(value) <= 1;
        String colour = colour(point.row());
        String hover =
                name(point.row()) + ": " + number(point.evaluations()) + ", " + number(value);
        Html.Element mark = element("g", element("title", hover));
        Interval shown = point.shown();
        if (inside && shown.low() < shown.high()) {
            double low = (1 - Math.clamp(up.at(shown.low()), 0.0, 1.0)) * PANEL_HEIGHT;
            double high = (1 - Math.clamp(up.at(shown.high()), 0.0, 1.0)) * PANEL_HEIGHT;
            mark =
                    mark.add(
                            line(x, low, x, high)
                                    .with("stroke", colour)
                                    .with("stroke-opacity", "0.5"));
        }
        mark = mark.add(inside ? dot(x, y, colour, front) : triangle(x, y, colour));
        String text = point.number() + (inside ? "" : ": " + number(value));
        return mark.with("data-row", Integer.toString(point.number()))
                .add(labels.place(x, inside ? y : y + 12, text));
    }

    /** A row of the legend is filled as well. */
    private static Html.Element dot(double x, double y, String colour, boolean filled) {
        return element("circle")
                .with("cx", number(x))
                .with("cy", number(y))
                .with("r", number(RADIUS))
                .with("fill", filled ? colour : "#ffffff")
                .with("stroke", colour)
                .with("stroke-width", "1.5");
    }

    private static Html.Element triangle(double x, double y, String colour) {
        String corners =
                number(x)
                        + ","
                        + number(y)
                        + " "
                        + number(x - 5)
                        + ","
                        + number(y + 8)
                        + " "
                        + number(x + 5)
                        + ","
                        + number(y + 8);
        return element("polygon").with("points", corners).with("fill", colour);
    }

    private static Html.Element line(double x1, double y1, double x2, double y2) {
        return element("line")
                .with("x1", number(x1))
                .with("y1", number(y1))
                .with("x2", number(x2))
                .with("y2", number(y2));
    }

    private static Html.Element rectangle(int x, int y, int width, int height) {
        return element("rect")
                .with("x", Integer.toString(x))
                .with("y", Integer.toString(y))
                .with("width", Integer.toString(width))
                .with("height", Integer.toString(height));
    }

    private static Html.Element label(double x, double y, String anchor, String text) {
        return element("text", text)
                .with("x", number(x))
                .with("y", number(y))
                .with("text-anchor", anchor);
    }

    private static Html.Element moved(int x, int y, Html.Element content) {
        return element("g", content).with("transform", "translate(" + x + " " + y + ")");
    }

    /** As few digits as say it, at most three behind the point. */
    private static String number(double value) {
        String text = String.format(Locale.ROOT, Math.abs(value) < 1 ? "%.3f" : "%.2f", value);
        text = text.replaceAll("0+$", "").replaceAll("[.]$", "");
        return text.equals("-0") ? "0" : text;
    }

    /**
     * Numbers to a panel's side.
     *
     * @param low value at the start, a logarithm if {@code logarithmic}
     * @param high value at the end
     */
    record Axis(double low, double high, boolean logarithmic) {
        /** An axis from half the smallest to twice the largest of positive numbers. */
        static Axis logarithmic(double[] values) {
            double least = Double.POSITIVE_INFINITY;
            double most = 0;
            for (double value : values) {
                least = Math.min(least, value);
                most = Math.max(most, value);
            }
            return new Axis(Math.log10(Math.max(least, 0.5) / 1.6), Math.log10(most * 1.6), true);
        }

        /** An axis that holds the intervals, but for values far beyond the others. */
        static Axis of(List<Interval> shown) {
            double[] values = shown.stream().mapToDouble(Interval::value).sorted().toArray();
            double median = (values[(values.length - 1) / 2] + values[values.length / 2]) / 2;
            double most = median > 0 ? MOST_MEDIANS * median : Double.POSITIVE_INFINITY;
            double low = values[0];
            double high = values[0];
            for (Interval interval : shown) {
                if (interval.value() <= most) {
                    low = Math.min(low, Double.isNaN(interval.low()) ? low : interval.low());
                    low = Math.min(low, interval.value());
                    high = Math.max(high, Double.isNaN(interval.high()) ? high : interval.high());
                    high = Math.max(high, interval.value());
                }
            }
            high = Math.min(high, most);
            double room = high > low ? 0.06 * (high - low) : Math.max(0.05 * Math.abs(high), 0.01);
            return new Axis(low - room, high + room, false);
        }

        /** Where a value is, 0 at the start and 1 at the end. */
        double at(double value) {
            return ((logarithmic ? Math.log10(value) : value) - low) / (high - low);
        }

        /** Round values on the axis, three to eight. */
        List<Double> ticks() {
            return logarithmic ? logarithmicTicks() : linearTicks();
        }

        private List<Double> logarithmicTicks() {
            List<Double> ticks = new ArrayList<>();
            for (int power = (int) Math.floor(low); power <= high; power++) {
                for (int digit : new int[] {1, 2, 5}) {
                    double tick = digit * Math.pow(10, power);
                    if (Math.log10(tick) >= low && Math.log10(tick) <= high) {
                        ticks.add(tick);
                    }
                }
            }
            return ticks;
        }

        private List<Double> linearTicks() {
            double rough = (high - low) / 5;
            double power = Math.pow(10, Math.floor(Math.log10(rough)));
            double step = power;
            for (int digit : new int[] {2, 5, 10}) {
                step = step < rough ? digit * power : step;
            }
            List<Double> ticks = new ArrayList<>();
            for (long i = (long) Math.ceil(low / step); i * step <= high; i++) {
                ticks.add(i * step);
            }
            return ticks;
        }
    }

    /** Finds room for the numbers beside points. */
    private static final class Labels {
        private static final int CHARACTER = 7;
        private static final int HEIGHT = 12;

        /** Where a label's middle may lie, from the point. */
        private static final int[][] PLACES = {
            {8, -9},
            {-8, -9},
            {8, 10},
            {-8, 10},
            {12, 0},
            {-12, 0},
            {0, -13},
            {0, 14},
            {18, -16},
            {-18, -16},
            {18, 18},
            {-18, 18}
        };

        /** A rectangle that is taken. */
        private record Box(double x, double y, double width, double height) {
            boolean meets(Box other) {
                return Math.abs(x - other.x) < (width + other.width) / 2
                        && Math.abs(y - other.y) < (height + other.height) / 2;
            }
        }

        private final Set<Box> taken = new LinkedHashSet<>();

        void keepFree(double x, double y) {
            taken.add(new Box(x, y, 2 * RADIUS, 2 * RADIUS));
        }

        /** The text at the first place that is free; if none is, at the first. */
        Html.Element place(double x, double y, String text) {
            double width = text.length() * CHARACTER;
            Box chosen = null;
            for (int[] place : PLACES) {
                double shift = place[0] + Math.signum(place[0]) * (width - CHARACTER) / 2;
                Box box = new Box(x + shift, y + place[1], width, HEIGHT);
                if (taken.stream().noneMatch(box::meets)) {
                    chosen = box;
                    break;
                }
            }
            if (chosen == null) {
                chosen = new Box(x + PLACES[0][0], y + PLACES[0][1], width, HEIGHT);
            }
            taken.add(chosen);
            return label(chosen.x(), chosen.y() + 4, "middle", text).with("font-size", "11");
        }
    }
}
