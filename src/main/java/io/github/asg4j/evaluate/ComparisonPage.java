// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static io.github.asg4j.evaluate.Html.element;

import io.github.asg4j.EngineInfo;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.PictureReport;
import io.github.asg4j.ReportJson;
import io.github.asg4j.evaluate.Comparison.Figure;
import io.github.asg4j.evaluate.Drawing.Drawn;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The pictures of a comparison on one page, to be looked at side by side. */
public final class ComparisonPage {
    private static final String CONTROLLED =
            "Everything else is a method’s default in this engine and is listed under its picture."
                    + " The noise is drawn once, a Gaussian latent for each native-size patch:"
                    + " methods that begin with the whole canvas get the patches interleaved on it,"
                    + " methods that begin at native size get the first, as the native picture"
                    + " does.";

    private static final String PAPERS =
            "Everything else is as each method’s paper or published code has it, listed under its"
                    + " picture. Where that includes another scheduler, η or guidance scale, the"
                    + " pictures show each method as its authors run it, and are no controlled"
                    + " comparison.";

    private final Gallery gallery;
    private final Comparison comparison;
    private final GenerationRequest base;
    private final Map<String, Drawn> drawn;
    private final SharedSettings shared;
    private final PictureView views;

    /** The first of the methods' pictures: what it says of the page's settings all others say. */
    private final Drawn first;

    private ComparisonPage(Gallery gallery) {
        this.gallery = gallery;
        comparison = gallery.comparison();
        base = comparison.base();
        drawn = gallery.methods();
        shared = new SharedSettings(drawn.values());
        first = drawn.values().iterator().next();
        views = new PictureView(base.prompt(), first);
    }

    /** The page of a gallery in which at least one method was drawn. */
    public static HtmlPage of(Gallery gallery) {
        ComparisonPage page = new ComparisonPage(gallery);
        AsgFigures figures = new AsgFigures(gallery, page.views);
        List<Html> body = new ArrayList<>();
        body.add(page.header());
        body.add(bar());
        body.add(page.methods());
        body.add(page.numbers());
        if (!gallery.attention().isEmpty()) {
            body.add(figures.attention());
        }
        if (gallery.comparison().shows(Figure.ABLATION)) {
            body.add(figures.ablation());
        }
        if (gallery.comparison().shows(Figure.SWEEP)) {
            body.add(figures.sweep());
        }
        body.add(page.colophon());
        return new HtmlPage(page.base.prompt() + " · asg4j compare", List.of("zoom.js"), body);
    }

    private Html header() {
        String start = ReportText.size(first) + ", seed " + base.seed() + ". ";
        return element(
                        "header",
                        element("p", "Pictures beyond a model’s native size, method by method")
                                .classed("kicker"),
                        element("h1", "“" + base.prompt() + "”"),
                        element("p", start + sameness()).classed("lede"),
                        element("p", base.paperDefaults() ? PAPERS : CONTROLLED))
                .add(cut("prompt", first.report().cut().prompt()))
                .add(cut("negative prompt", first.report().cut().negativePrompt()));
    }

    private String sameness() {
        List<String> same = new ArrayList<>(shared.common());
        same.add(
                base.negativePrompt().isBlank()
                        ? "no negative prompt"
                        : "the negative prompt “" + base.negativePrompt() + "”");
        same.add("the same starting noise");
        String text = "All methods: " + String.join(", ", same) + ".";
        List<String> different =
                shared.different().stream().map(SharedSettings.Setting::words).toList();
        return different.isEmpty()
                ? text
                : text + " They differ in " + String.join(", ", different) + ": see the table.";
    }

    private static List<Html> cut(String what, String left) {
        return left.isEmpty()
                ? List.of()
                : List.of(
                        element(
                                "p",
                                "The "
                                        + what
                                        + " is longer than a text encoder of the model takes; it"
                                        + " has not read “"
                                        + left
                                        + "”."));
    }

    private static Html bar() {
        Html size =
                element("input")
                        .with("type", "range")
                        .with("min", "8")
                        .with("max", "48")
                        .with("aria-label", "Size of the pictures");
        String hint =
                "All pictures move together: wheel or pinch zooms, drag or arrow keys pan, double"
                        + " click resets.";
        return element(
                        "div",
                        button("out", "−").with("aria-label", "Zoom out"),
                        element("output", "1.0×").with("aria-live", "off"),
                        button("in", "+").with("aria-label", "Zoom in"),
                        button("reset", "Reset"),
                        button("pixels", "Show pixels").with("aria-pressed", "false"),
                        element("label", element("span", "Size"), size),
                        element("p", hint).classed("hint"))
                .classed("bar")
                .with("role", "toolbar")
                .with("aria-label", "All pictures")
                .with("hidden", "");
    }

    private static Html.Element button(String action, String text) {
        return element("button", text).with("type", "button").with("data-action", action);
    }

    private Html methods() {
        List<Html> figures = new ArrayList<>();
        figures.add(reference());
        for (String name : comparison.methods()) {
            figures.add(method(name));
        }
        return element(
                "section", element("h2", "Methods"), element("div").classed("grid").add(figures));
    }

    private Html reference() {
        Drawing drawing = gallery.get(gallery.reference());
        Html.Element caption = element("figcaption", element("strong", "Native size"));
        if (drawing instanceof Drawn d) {
            String what =
                    ReportText.size(d) + ", enlarged: the size that the model was trained for.";
            caption = caption.add(measures(d), element("div", what));
        }
        return element("figure", views.of(drawing, "at native size"), caption);
    }

    private Html method(String name) {
        MethodText method = MethodText.of(name);
        Drawing drawing = gallery.get(comparison.method(name));
        Html.Element caption = element("figcaption", element("strong", method.title()));
        if (drawing instanceof Drawn d) {
            caption = caption.add(measures(d));
        }
        caption = caption.add(element("div", method.sentence()));
        if (drawing instanceof Drawn d) {
            caption = caption.add(settings(d));
        }
        return element("figure", views.of(drawing, "by " + method.title()), caption);
    }

    private static Html measures(Drawn d) {
        List<String> parts = new ArrayList<>();
        parts.add(ReportText.seconds(d) + " s");
        parts.add(d.report().plan().guidedEvaluations() + " evaluations");
        d.objects().ifPresent(count -> parts.add(ReportText.objects(count)));
        return element("div", String.join(" · ", parts)).classed("measures");
    }

    private Html settings(Drawn d) {
        PictureReport report = d.report();
        Html.Element list = element("dl");
        for (SharedSettings.Setting each : shared.different()) {
            list = list.add(term(ReportText.capitalised(each.words()), each.value(report)));
        }
        for (Map.Entry<String, Object> each : ReportJson.decided(report).entrySet()) {
            String value = ReportText.plain(each.getValue());
            list = list.add(term(ReportText.spoken(each.getKey()), value));
        }
        if (report.request().image() != null) {
            list = list.add(term("Image", report.request().image().toString()));
        }
        list =
                list.add(term("Lost devices", String.join(", ", report.devices().lost())))
                        .add(term("View batch", Integer.toString(report.plan().viewBatch())))
                        .add(
                                term(
                                        "Milliseconds",
                                        ReportText.plain(ReportJson.map(report.times()))));
        return element("details", element("summary", "Settings"), list);
    }

    private static List<Html> term(String name, String value) {
        return value.isEmpty() ? List.of() : List.of(element("dt", name), element("dd", value));
    }

    private Html numbers() {
        Map<String, Drawing> rows = new LinkedHashMap<>();
        rows.put("Native size", gallery.get(gallery.reference()));
        for (String name : comparison.methods()) {
            rows.put(MethodText.of(name).title(), gallery.get(comparison.method(name)));
        }
        NumbersTable numbers = new NumbersTable(drawn.values());
        return element(
                        "section",
                        element("h2", "Numbers"),
                        element("div", numbers.table(rows)).classed("scroll").with("tabindex", "0"))
                .add(numbers.notes());
    }

    private Html colophon() {
        EngineInfo machine = gallery.machine();
        Html.Element list =
                element("dl")
                        .add(term("Model", machine.model()))
                        .add(term("Bundle SHA-256", machine.bundleSha256()))
                        .add(term("Devices", String.join(", ", machine.devices())))
                        .add(
                                term(
                                        "Threads per worker",
                                        Integer.toString(machine.threadsPerWorker())))
                        .add(term("Kernels", machine.kernels()))
                        .add(term("ONNX Runtime", machine.onnxRuntime()));
        list = list.add(term("asg4j", first.report().version()));
        return element(
                "section",
                element("h2", "How it was drawn"),
                list,
                element(
                                "p",
                                "The pictures are PNG files that carry their settings: what reads"
                                        + " the text “parameters” of a picture can tell how to draw"
                                        + " it again.")
                        .classed("note"));
    }
}
