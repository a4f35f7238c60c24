// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static io.github.asg4j.evaluate.Html.element;

import io.github.asg4j.image.PictureEncoding;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The page of an evaluation: the table, the differences picture by picture, and samples. */
final class SummaryPage {
    private static final int SAMPLES = 6;

    /** Larger side of a sample, pixels. */
    private static final int SAMPLE_SIDE = 160;

    private final Summary summary;
    private final ResultFolder results;

    private SummaryPage(Summary summary, ResultFolder results) {
        this.summary = summary;
        this.results = results;
    }

    static HtmlPage of(Summary summary, ResultFolder results) {
        return new HtmlPage(
                "asg4j evaluation", List.of(), new SummaryPage(summary, results).body());
    }

    private List<Html> body() {
        List<Html> body = new ArrayList<>();
        body.add(element("p", "asg4j").classed("kicker"));
        body.add(element("h1", "Evaluation"));
        body.add(
                element(
                                "p",
                                "Rows of one size were drawn with the same prompts and seeds."
                                        + " Below each value its 95 % interval, Wilson's for"
                                        + " shares, of "
                                        + Bootstrap.RESAMPLES
                                        + " resamples of the pictures for the rest. FID depends on"
                                        + " n; values of different sizes cannot be compared.")
                        .classed("lede"));
        body.add(table(summary.rows(), false));
        Html chart = ParetoChart.of(summary);
        if (chart != null) {
            body.add(element("h2", "Quality against evaluations"));
            body.add(element("p", ParetoChart.CAPTION).classed("note"));
            body.add(element("div", chart).classed("scroll"));
        }
        body.add(element("h2", "Against the first row of each size"));
        body.add(
                element(
                                "p",
                                "Differences over the pictures that both rows have, resampled"
                                        + " together. Of twenty intervals about one leaves out 0"
                                        + " by chance alone.")
                        .classed("note"));
        body.add(
                table(
                        summary.rows().stream().filter(r -> !r.differences().isEmpty()).toList(),
                        true));
        body.addAll(truth());
        Set<String> sizes = new LinkedHashSet<>();
        summary.rows().forEach(row -> sizes.add(row.key().size()));
        for (String size : sizes) {
            body.addAll(samples(size));
        }
        return body;
    }

    private Html table(List<Summary.Row> rows, boolean differences) {
        List<SummaryTable.Column> columns =
                SummaryTable.columns(
                        rows.stream()
                                .map(row -> differences ? row.differences() : row.measures())
                                .toList());
        Html.Element head = element("tr");
        for (String title : List.of("method", "size", "setting")) {
            head = head.add(element("th", title));
        }
        head = head.add(element("th", differences ? "pairs" : "n").classed("n"));
        for (SummaryTable.Column column : columns) {
            head = head.add(element("th", column.title()).classed("n"));
        }
        Html.Element body = element("tbody");
        for (Summary.Row row : rows) {
            Html.Element line = element("tr", element("th", row.key().method()));
            line = line.add(element("td", row.key().size()), element("td", row.key().setting()));
            int n = differences ? row.paired() : row.n();
            line = line.add(element("td", Integer.toString(n)).classed("n"));
            Map<String, Interval> shown = differences ? row.differences() : row.measures();
            for (SummaryTable.Column column : columns) {
                line = line.add(cell(column, shown));
            }
            body = body.add(line);
        }
        return element("div", element("table", element("thead", head), body)).classed("scroll");
    }

    private static Html cell(SummaryTable.Column column, Map<String, Interval> shown) {
        Html.Element cell = element("td", column.value(shown)).classed("n");
        String interval = column.interval(shown);
        return interval.isEmpty()
                ? cell
                : cell.add(element("br"), element("span", interval).classed("note"));
    }

    /** What an autoencoder leaves of true pictures' power, by octaves; empty: not known. */
    private static String powers(Map<String, Object> truth) {
        List<String> left = new ArrayList<>();
        for (String name : DetailBands.MEASURES) {
            Object power = truth.get(name + "_through_autoencoder");
            if (power != null) {
                left.add(power.toString());
            }
        }
        return left.isEmpty() ? "" : ", power by octaves " + String.join(", ", left);
    }

    private List<Html> truth() {
        List<Html> notes = new ArrayList<>();
        summary.truth()
                .forEach(
                        (size, held) -> {
                            String text =
                                    held.isEmpty()
                                            ? size
                                                    + ": no true pictures of this size to compare"
                                                    + " with."
                                            : size
                                                    + ": against "
                                                    + held.get("pictures")
                                                    + " true pictures; sharpness of true pictures"
                                                    + " after the autoencoder: "
                                                    + held.get("sharpness_through_autoencoder")
                                                    + powers(held)
                                                    + ".";
                            notes.add(element("p", text).classed("note"));
                        });
        return notes;
    }

    /** The first pictures of each row, made small. */
    private List<Html> samples(String size) {
        List<Html> parts = new ArrayList<>();
        parts.add(element("h2", size));
        for (Summary.Row row : summary.rows()) {
            if (!row.key().size().equals(size)) {
                continue;
            }
            parts.add(element("h3", row.key().method() + ", " + row.key().setting()));
            Html.Element strip = element("div").classed("grid");
            for (DrawnPicture picture : results.pictures()) {
                if (picture.key().equals(row.key()) && picture.index() < SAMPLES) {
                    strip = strip.add(sample(picture));
                }
            }
            parts.add(strip);
        }
        return parts;
    }

    private Html sample(DrawnPicture picture) {
        Picture whole = Picture.read(results.file(picture.key(), picture.index()));
        double shrink = Math.min(1, (double) SAMPLE_SIDE / Math.max(whole.width(), whole.height()));
        Picture small =
                whole.resized(
                        Math.max(1, (int) Math.round(whole.width() * shrink)),
                        Math.max(1, (int) Math.round(whole.height() * shrink)));
        byte[] png =
                PictureEncoding.PNG.encode(
                        small.width(), small.height(), MemorySegment.ofArray(small.rgb8()), "");
        Finding finding = picture.finding();
        String counted = finding == null ? "" : ", " + finding.count() + " counted";
        return element(
                "figure",
                new Html.Png(png, small.width(), small.height(), picture.prompt()),
                element("figcaption", picture.prompt() + counted));
    }
}
