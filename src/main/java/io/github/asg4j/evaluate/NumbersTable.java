// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static io.github.asg4j.evaluate.Html.element;

import io.github.asg4j.evaluate.Drawing.Drawn;
import io.github.asg4j.evaluate.Drawing.Refused;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** What the pictures of a comparison cost, and what is in them. */
final class NumbersTable {
    /**
     * A column.
     *
     * @param meaning said below the table; empty: said with another column
     * @param value of a picture
     */
    private record Column(String title, String meaning, Function<Drawn, String> value) {}

    private final List<Column> columns = new ArrayList<>();

    /**
     * @param pictures that the table will have; what none of them has gets no column
     */
    NumbersTable(Collection<Drawn> pictures) {
        add(
                "Seconds",
                "Seconds: text encoder, all steps and VAE of this one picture, drawn once; the"
                        + " native one comes first and warms the engine. Not a benchmark.",
                ReportText::seconds);
        add(
                "Guided evaluations",
                "Guided evaluations: one per latent and step, its conditional and unconditional row"
                        + " together, whatever its size. UNet calls: the batches they were computed"
                        + " in. Barriers: how often all workers wait for each other.",
                d -> Long.toString(d.report().plan().guidedEvaluations()));
        add("UNet calls", "", d -> Long.toString(d.report().plan().unetRuns()));
        add("Barriers", "", d -> Integer.toString(d.report().plan().barriers()));
        add(
                "Buffers, MiB",
                "Buffers: exact peak of what this engine allocates for the picture on host and"
                        + " devices; weights, and what ONNX Runtime needs inside of a call, come on"
                        + " top.",
                ReportText::buffers);
        if (pictures.stream().anyMatch(d -> !ReportText.processPeak(d).isEmpty())) {
            add(
                    "Process, MiB",
                    "Process: peak resident memory while the picture was drawn, with the weights,"
                            + " the Java heap and what ONNX Runtime keeps from earlier pictures."
                            + " That is why they are drawn in the order of what they need.",
                    ReportText::processPeak);
        }
        if (pictures.stream().anyMatch(d -> d.objects().isPresent())) {
            add(
                    "Objects",
                    "Objects: as many as the demo model’s counter finds; the prompt promises one.",
                    d -> d.objects().stream().mapToObj(Integer::toString).findAny().orElse(""));
        }
        for (SharedSettings.Setting each : new SharedSettings(pictures).different()) {
            add(ReportText.capitalised(each.words()), "", d -> each.value(d.report()));
        }
    }

    private void add(String title, String meaning, Function<Drawn, String> value) {
        columns.add(new Column(title, meaning, value));
    }

    /** The table; {@code rows} by their titles. */
    Html.Element table(Map<String, Drawing> rows) {
        Html.Element head = element("tr", element("th", "Method").with("scope", "col"));
        for (Column column : columns) {
            head = head.add(element("th", column.title()).classed("n").with("scope", "col"));
        }
        Html.Element body = element("tbody");
        for (Map.Entry<String, Drawing> row : rows.entrySet()) {
            body = body.add(row(row.getKey(), row.getValue()));
        }
        return element("table", element("thead", head), body);
    }

    private Html row(String title, Drawing drawing) {
        Html.Element row = element("tr", element("th", title).with("scope", "row"));
        return switch (drawing) {
            case Drawn d ->
                    row.add(
                            columns.stream()
                                    .map(c -> element("td", c.value().apply(d)).classed("n"))
                                    .toList());
            case Refused r ->
                    row.add(
                            element("td", "not drawn: see its card")
                                    .classed("empty")
                                    .with("colspan", Integer.toString(columns.size())));
        };
    }

    /** What the columns mean. */
    List<Html.Element> notes() {
        return columns.stream()
                .filter(column -> !column.meaning().isEmpty())
                .map(column -> element("p", column.meaning()).classed("note"))
                .toList();
    }
}
