// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static io.github.asg4j.evaluate.Html.element;
import static io.github.asg4j.evaluate.Html.text;

import io.github.asg4j.AttentionReport;
import io.github.asg4j.GenerationRequest;
import io.github.asg4j.GuideOptions.Mask;
import io.github.asg4j.GuideOptions.Space;
import io.github.asg4j.evaluate.Comparison.Figure;
import io.github.asg4j.evaluate.Drawing.Drawn;
import io.github.asg4j.evaluate.Drawing.Refused;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** The pictures of a comparison on one page, to be looked at side by side. */
public final class ComparisonPage {
    /** Columns of the figure of masks; more steps than that are thinned out. */
    private static final int MAX_MAPS = 25;

    /** Settings that all methods share unless each uses its paper's. */
    private static final Map<String, String> SHARED = new LinkedHashMap<>();

    static {
        SHARED.put("scheduler", "Scheduler");
        SHARED.put("spacing", "Spacing");
        SHARED.put("steps", "Steps");
        SHARED.put("eta", "Eta");
        SHARED.put("guidance_scale", "Guidance scale");
    }

    /** Keys of a report that are no setting, or said once for the page. */
    private static final Set<String> NO_SETTINGS =
            Set.of(
                    "width",
                    "height",
                    "seed",
                    "method",
                    "prompt",
                    "negative_prompt",
                    "prompt_cut",
                    "negative_prompt_cut",
                    "paper_defaults",
                    "devices",
                    "kernels",
                    "barriers",
                    "guided_evaluations",
                    "unet_runs",
                    "model",
                    "version",
                    "bundle_sha256",
                    "pixels_sha256",
                    "peak_bytes",
                    "host_bytes",
                    "process_peak_bytes",
                    "times_ms");

    private static final double MEBIBYTE = 1 << 20;

    private final Gallery gallery;
    private final Comparison comparison;
    private final GenerationRequest base;
    private final Map<String, Drawn> drawn;
    private final Map<String, Object> anyReport;

    private ComparisonPage(Gallery gallery) {
        this.gallery = gallery;
        comparison = gallery.comparison();
        base = comparison.base();
        drawn = gallery.methods();
        anyReport = drawn.values().iterator().next().report();
    }

    /** The page of a gallery in which at least one method was drawn. */
    public static HtmlPage of(Gallery gallery) {
        ComparisonPage page = new ComparisonPage(gallery);
        List<Html> main = new ArrayList<>();
        main.add(page.header());
        main.add(bar());
        main.add(page.methods());
        main.add(page.numbers());
        if (!gallery.attention().isEmpty()) {
            main.add(page.attention());
        }
        if (gallery.comparison().shows(Figure.ABLATION)) {
            main.add(page.ablation());
        }
        if (gallery.comparison().shows(Figure.SWEEP)) {
            main.add(page.sweep());
        }
        main.add(page.colophon());
        return new HtmlPage(page.base.prompt() + " · asg4j compare", List.of("zoom.js"), main);
    }

    private static Html.Element paragraph(String text) {
        return element("p", text);
    }

    private static Html.Element note(String text) {
        return element("p", text).classed("note");
    }

    private static Html.Element section(String heading, Html... content) {
        return element("section", element("h2", heading)).add(content);
    }

    private Html header() {
        Html.Element header =
                element(
                        "header",
                        element("p", "Methods for pictures beyond the native size")
                                .classed("kicker"),
                        element("h1", "“" + base.prompt() + "”"),
                        paragraph(size(anyReport) + ", seed " + base.seed() + ". " + sameness())
                                .classed("lede"),
                        paragraph(defaults()));
        for (String cut : List.of("prompt_cut", "negative_prompt_cut")) {
            if (anyReport.get(cut) instanceof String left && !left.isEmpty()) {
                String which = cut.startsWith("negative") ? "negative prompt" : "prompt";
                header =
                        header.add(
                                paragraph(
                                        "The "
                                                + which
                                                + " is longer than the text encoder takes; left"
                                                + " out: “"
                                                + left
                                                + "”."));
            }
        }
        return header;
    }

    private static String size(Map<String, Object> report) {
        return report.get("width") + " × " + report.get("height");
    }

    /** What all pictures have in common, by what their reports say. */
    private String sameness() {
        List<String> same = new ArrayList<>();
        List<String> different = new ArrayList<>();
        for (String key : SHARED.keySet()) {
            if (valuesOf(key).size() > 1) {
                different.add(spoken(key).toLowerCase(Locale.ROOT));
            } else if (anyReport.containsKey(key)) {
                same.add(shared(key, anyReport.get(key)));
            }
        }
        same.add(
                base.negativePrompt().isBlank()
                        ? "no negative prompt"
                        : "the negative prompt “" + base.negativePrompt() + "”");
        same.add("the same starting noise");
        String text = "All methods: " + String.join(", ", same) + ".";
        if (!different.isEmpty()) {
            text += " They differ in " + String.join(", ", different) + ", see the table.";
        }
        return text;
    }

    private static String shared(String key, @Nullable Object value) {
        return switch (key) {
            case "scheduler" -> schedulerName(value) + " scheduler";
            case "spacing" -> value + " timesteps";
            case "steps" -> value + " steps";
            case "eta" -> "η = " + plain(value);
            case "guidance_scale" -> "classifier-free guidance scale " + plain(value);
            default -> spoken(key) + " " + plain(value);
        };
    }

    private static String schedulerName(@Nullable Object name) {
        return switch (String.valueOf(name)) {
            case "euler" -> "Euler";
            case "ddim" -> "DDIM";
            default -> String.valueOf(name);
        };
    }

    private String defaults() {
        return base.paperDefaults()
                ? "Everything else is as each method's own paper or published code has it; where a"
                      + " paper asks for another scheduler, η or guidance scale, that is used, and"
                      + " the pictures are then not a controlled comparison."
                : "Everything else is each method's default in this engine, listed under its"
                      + " picture. The noise is drawn once per native-size patch: methods that"
                      + " begin with the full canvas get these patches interleaved on it, methods"
                      + " that begin at native size get the first one, as the native picture does.";
    }

    private Set<String> valuesOf(String key) {
        Set<String> values = new LinkedHashSet<>();
        drawn.values().forEach(d -> values.add(plain(d.report().get(key))));
        return values;
    }

    private static Html bar() {
        return element(
                        "div",
                        button("out", "−", "Zoom out"),
                        element("output", "1.0×").with("aria-live", "off"),
                        button("in", "+", "Zoom in"),
                        button("reset", "Whole picture", ""),
                        button("pixels", "Show pixels", "").with("aria-pressed", "false"),
                        element(
                                "label",
                                element("span", "Size"),
                                element("input")
                                        .with("type", "range")
                                        .with("min", "9")
                                        .with("max", "48")
                                        .with("value", "17")
                                        .with("aria-label", "Size of the pictures")),
                        element(
                                        "p",
                                        "All pictures move together: wheel or pinch zooms, drag or"
                                                + " arrow keys pan, double click resets.")
                                .classed("hint"))
                .classed("bar")
                .with("role", "toolbar")
                .with("aria-label", "Zoom of all pictures")
                .with("hidden", "");
    }

    private static Html.Element button(String action, String text, String label) {
        Html.Element button =
                element("button", text).with("type", "button").with("data-action", action);
        return label.isEmpty() ? button : button.with("aria-label", label);
    }

    private Html methods() {
        List<Html> figures = new ArrayList<>();
        figures.add(referenceFigure());
        for (String name : comparison.methods()) {
            figures.add(methodFigure(name, gallery.get(comparison.method(name))));
        }
        return section("Methods", element("div").classed("grid").add(figures));
    }

    private Html referenceFigure() {
        Drawing drawing = gallery.get(gallery.reference());
        Html.Element caption = caption("Native size", "");
        if (drawing instanceof Drawn d) {
            caption =
                    caption.add(
                            text(
                                    size(d.report())
                                            + ", enlarged: what the model draws at the size it was"
                                            + " trained for."),
                            measures(d));
        }
        return element("figure", view(drawing, "at native size"), caption);
    }

    private Html methodFigure(String name, Drawing drawing) {
        MethodText method = MethodText.of(name);
        Html.Element caption = caption(method.title(), method.paper());
        if (!method.idea().isEmpty()) {
            caption = caption.add(text(sentence(method.idea())));
        }
        if (drawing instanceof Drawn d) {
            caption = caption.add(measures(d), settings(d));
        }
        return element("figure", view(drawing, "by " + method.title()), caption);
    }

    private static Html.Element caption(String title, String paper) {
        Html.Element strong = element("strong", title);
        return element("figcaption", strong)
                .add(paper.isEmpty() ? List.of() : List.of(text(paper + ". ")));
    }

    private static String sentence(String text) {
        return Character.toUpperCase(text.charAt(0)) + text.substring(1) + ".";
    }

    private static Html measures(Drawn d) {
        List<String> parts = new ArrayList<>();
        parts.add(seconds(d) + " s");
        parts.add(d.report().get("guided_evaluations") + " evaluations");
        d.objects().ifPresent(n -> parts.add(n == 1 ? "1 object" : n + " objects"));
        return element("div", String.join(" · ", parts)).classed("numeral");
    }

    private Html settings(Drawn d) {
        Html.Element list = element("dl");
        for (Map.Entry<String, Object> setting : d.report().entrySet()) {
            String key = setting.getKey();
            boolean once = SHARED.containsKey(key) && valuesOf(key).size() == 1;
            boolean nothing = setting.getValue() instanceof List<?> values && values.isEmpty();
            if (!NO_SETTINGS.contains(key) && !once && !nothing) {
                list =
                        list.add(
                                element("dt", spoken(key)),
                                element("dd", plain(setting.getValue())));
            }
        }
        if (d.report().get("times_ms") instanceof Map<?, ?> times) {
            list = list.add(element("dt", "Milliseconds"), element("dd", plain(times)));
        }
        return element("details", element("summary", "Settings"), list);
    }

    /** A picture that moves with all others, or why there is none. */
    private Html view(Drawing drawing, String how) {
        return switch (drawing) {
            case Drawn d ->
                    element(
                                    "div",
                                    new Html.Png(
                                            d.png(),
                                            d.width(),
                                            d.height(),
                                            "“" + base.prompt() + "” " + how))
                            .classed("view")
                            .with("style", aspect(d.width(), d.height()));
            case Refused r ->
                    element("div", element("b", "Not drawn"), element("span", r.reason()))
                            .classed("refused")
                            .with("style", aspect(anyReport.get("width"), anyReport.get("height")));
        };
    }

    private static String aspect(@Nullable Object width, @Nullable Object height) {
        return "aspect-ratio: " + width + " / " + height;
    }

    /** A column of the table of numbers. */
    private record Column(
            String title, String meaning, java.util.function.Function<Drawn, String> of) {}

    private List<Column> columns() {
        List<Column> columns = new ArrayList<>();
        columns.add(
                new Column(
                        "Seconds",
                        "Seconds: text, all steps and VAE of this one picture, drawn once after the"
                                + " native one had warmed the engine; not a benchmark.",
                        ComparisonPage::seconds));
        columns.add(
                new Column(
                        "Guided evaluations",
                        "Guided evaluations: one per latent and step, conditional and unconditional"
                                + " row together, whatever its size. UNet calls: the batches they"
                                + " were computed in. Barriers: times at which all workers wait for"
                                + " each other.",
                        d -> plain(d.report().get("guided_evaluations"))));
        columns.add(new Column("UNet calls", "", d -> plain(d.report().get("unet_runs"))));
        columns.add(new Column("Barriers", "", d -> plain(d.report().get("barriers"))));
        columns.add(
                new Column(
                        "Buffers, MiB",
                        "Buffers: peak of this engine's own off-heap memory on host and devices,"
                                + " exact, without weights and without what networks need inside"
                                + " of a call.",
                        ComparisonPage::buffers));
        if (drawn.values().stream().anyMatch(d -> processPeak(d) > 0)) {
            columns.add(
                    new Column(
                            "Process, MiB",
                            "Process: peak resident memory while the picture was drawn, weights,"
                                    + " Java and what ONNX Runtime keeps from earlier pictures"
                                    + " included; pictures are drawn in the order of the memory"
                                    + " they need.",
                            d -> mebibytes(processPeak(d))));
        }
        if (drawn.values().stream().anyMatch(d -> d.objects().isPresent())) {
            columns.add(
                    new Column(
                            "Objects",
                            "Objects: counted by colour and size (the prompt promises one); see"
                                    + " the object counter's validation.",
                            d ->
                                    d.objects().isPresent()
                                            ? Integer.toString(d.objects().getAsInt())
                                            : ""));
        }
        SHARED.forEach(
                (key, title) -> {
                    if (valuesOf(key).size() > 1) {
                        columns.add(new Column(title, "", d -> plain(d.report().get(key))));
                    }
                });
        return columns;
    }

    private Html numbers() {
        List<Column> columns = columns();
        Html.Element head = element("tr", element("th", "Method").with("scope", "col"));
        for (Column column : columns) {
            head = head.add(element("th", column.title()).classed("n").with("scope", "col"));
        }
        Html.Element body = element("tbody");
        body = body.add(row("Native size", gallery.get(gallery.reference()), columns));
        for (String name : comparison.methods()) {
            Drawing drawing = gallery.get(comparison.method(name));
            body = body.add(row(MethodText.of(name).title(), drawing, columns));
        }
        Html.Element notes = element("div");
        for (Column column : columns) {
            if (!column.meaning().isEmpty()) {
                notes = notes.add(note(column.meaning()));
            }
        }
        return section(
                "Numbers",
                element("div", element("table", element("thead", head), body)).classed("scroll"),
                notes);
    }

    private static Html row(String title, Drawing drawing, List<Column> columns) {
        Html.Element row = element("tr", element("th", title).with("scope", "row"));
        switch (drawing) {
            case Drawn d -> {
                for (Column column : columns) {
                    row = row.add(element("td", column.of().apply(d)).classed("n"));
                }
            }
            case Refused r ->
                    row =
                            row.add(
                                    element("td", "not drawn, see its card above")
                                            .classed("empty")
                                            .with("colspan", Integer.toString(columns.size())));
        }
        return row;
    }

    private Html attention() {
        List<AttentionReport> steps = thinned(gallery.attention());
        Html.Element head = element("tr", element("td"));
        for (AttentionReport step : steps) {
            head = head.add(element("th", Integer.toString(step.step() + 1)).with("scope", "col"));
        }
        Html.Element body = element("tbody");
        for (int block = 0; block < steps.getFirst().blocks().size(); block++) {
            String name = steps.getFirst().blocks().get(block).name();
            Html.Element row = element("tr", element("th", name).with("scope", "row"));
            for (AttentionReport step : steps) {
                row =
                        row.add(
                                map(
                                        HeatMap.overItsRange(step.blocks().get(block)),
                                        step.blocks().get(block),
                                        step.step()));
            }
            body = body.add(row);
        }
        Html.Element row = element("tr", element("th", "mask M").with("scope", "row"));
        for (AttentionReport step : steps) {
            row = row.add(map(HeatMap.overUnit(step.mask()), step.mask(), step.step()));
        }
        body = body.add(row);
        return section(
                "Attention of the key patch",
                paragraph(
                        "Cross-attention to the prompt's tokens in the up blocks of the UNet, by"
                                + " step of stage 1, and the mask M that weighs the guidance in"
                                + " Eq. 4 (the paper's Fig. 6). Of ASGDiffusion's picture above."),
                element("div", element("table", element("thead", head), body).classed("maps"))
                        .classed("scroll"),
                note(
                        "Mean over heads and chosen tokens. Dark to light: each block's map from"
                            + " its least to its greatest value (point at it for the numbers), M"
                            + " from 0 to 1."));
    }

    private static List<AttentionReport> thinned(List<AttentionReport> all) {
        if (all.size() <= MAX_MAPS) {
            return all;
        }
        List<AttentionReport> some = new ArrayList<>();
        for (int i = 0; i < MAX_MAPS; i++) {
            some.add(all.get((int) ((long) i * (all.size() - 1) / (MAX_MAPS - 1))));
        }
        return some;
    }

    private static Html map(HeatMap heat, AttentionReport.Map map, int step) {
        String what =
                String.format(
                        Locale.ROOT,
                        "%s, step %d: %.4g to %.4g",
                        map.name(),
                        step + 1,
                        heat.least(),
                        heat.most());
        return element("td", new Html.Png(heat.png(), map.width(), map.height(), what))
                .with("title", what);
    }

    private Html ablation() {
        Html.Element matrix = matrix(3, "Interaction only", "+ guidance", "+ guidance and mask");
        for (Space space : comparison.spaces()) {
            double weight = comparison.ablationWeight(space);
            matrix =
                    matrix.add(
                            side(spaceName(space), "weight " + plain(weight)),
                            cell(comparison.interactionOnly()),
                            cell(comparison.guided(space, Mask.NONE, weight)),
                            cell(comparison.guided(space, Mask.KEY, weight)));
        }
        return section(
                "Interaction, guidance, mask",
                paragraph(
                        "The parts of stage 1 added one by one (the paper's Fig. 7): patches that"
                                + " only exchange pixels; with the pull towards the key patch (Eq."
                                + " 3); with that pull where the key patch's mask says so (Eq. 4)."
                                + spacesText()),
                element("div", matrix).classed("scroll"));
    }

    private String spacesText() {
        return comparison.spaces().size() == 1
                ? ""
                : " The first row guides noise estimates, as the paper writes it; the second"
                        + " predicted clean latents.";
    }

    private Html sweep() {
        List<String> heads = new ArrayList<>();
        heads.add("w = 0");
        Comparison.WEIGHTS.forEach(weight -> heads.add("w = " + plain(weight)));
        Html.Element matrix = matrix(heads.size(), heads.toArray(String[]::new));
        for (Space space : comparison.spaces()) {
            for (Mask mask : List.of(Mask.NONE, Mask.KEY)) {
                matrix =
                        matrix.add(
                                side(
                                        mask == Mask.NONE ? "No mask" : "Key patch's mask",
                                        spaceName(space).toLowerCase(Locale.ROOT)),
                                cell(comparison.interactionOnly()));
                for (double weight : Comparison.WEIGHTS) {
                    matrix = matrix.add(cell(comparison.guided(space, mask, weight)));
                }
            }
        }
        return section(
                "Guide weight",
                paragraph(
                        "The weight w of the guidance, without and with mask (the paper's Fig. 8"
                            + " and 9), pixel interaction in every step. All pictures of the first"
                            + " column are one and the same: without guidance there is nothing to"
                            + " mask."),
                element("div", matrix).classed("scroll"));
    }

    private static String spaceName(Space space) {
        return space == Space.NOISE ? "Noise estimates" : "Clean latents";
    }

    private static Html.Element matrix(int columns, String... heads) {
        Html.Element matrix =
                element("div", element("div"))
                        .classed("matrix")
                        .with(
                                "style",
                                "--columns: "
                                        + columns
                                        + "; grid-template-columns: 7rem repeat("
                                        + columns
                                        + ", minmax(0, 1fr))");
        for (String head : heads) {
            matrix = matrix.add(element("div", head).classed("head"));
        }
        return matrix;
    }

    private static Html side(String title, String more) {
        return element("div", element("b", title), text(more)).classed("side");
    }

    private Html cell(Shot shot) {
        Drawing drawing = gallery.get(shot);
        Html.Element figure = element("figure", view(drawing, "by " + shot.name()));
        if (drawing instanceof Drawn d && d.objects().isPresent()) {
            figure = figure.add(element("figcaption", plural(d.objects().getAsInt())));
        }
        return figure;
    }

    private static String plural(int objects) {
        return objects == 1 ? "1 object" : objects + " objects";
    }

    private Html colophon() {
        Map<String, Object> machine = gallery.machine();
        Html.Element list = element("dl");
        Map<String, String> lines = new LinkedHashMap<>();
        lines.put("Model", plain(machine.get("model")));
        lines.put("Bundle SHA-256", plain(machine.get("bundle_sha256")));
        lines.put("Devices", plain(machine.get("devices")));
        lines.put("Threads per worker", plain(machine.get("threads_per_worker")));
        lines.put("Kernels", plain(machine.get("kernels")));
        lines.put("ONNX Runtime", plain(machine.get("onnxruntime")));
        lines.put("asg4j", plain(anyReport.get("version")));
        for (Map.Entry<String, String> line : lines.entrySet()) {
            if (!line.getValue().isEmpty()) {
                list = list.add(element("dt", line.getKey()), element("dd", line.getValue()));
            }
        }
        return section(
                "How it was drawn",
                list,
                note(
                        "The pictures are PNG files with their settings inside: save one and"
                                + " asg4j, or any tool that reads “parameters”, shows how to draw"
                                + " it again."));
    }

    private static String seconds(Drawn d) {
        return d.report().get("times_ms") instanceof Map<?, ?> times
                        && times.get("total") instanceof Number total
                ? String.format(Locale.ROOT, "%.1f", total.doubleValue() / 1000)
                : "";
    }

    private static String buffers(Drawn d) {
        long bytes = d.report().get("host_bytes") instanceof Number host ? host.longValue() : 0;
        if (d.report().get("peak_bytes") instanceof Map<?, ?> devices) {
            for (Object value : devices.values()) {
                bytes += value instanceof Number number ? number.longValue() : 0;
            }
        }
        return mebibytes(bytes);
    }

    private static long processPeak(Drawn d) {
        return d.report().get("process_peak_bytes") instanceof Number n ? n.longValue() : -1;
    }

    private static String mebibytes(long bytes) {
        return String.format(
                Locale.ROOT, bytes < 10 * MEBIBYTE ? "%.1f" : "%.0f", bytes / MEBIBYTE);
    }

    /** {@code guide_weight} is "Guide weight". */
    private static String spoken(String key) {
        return sentenceCase(key.replace('_', ' '));
    }

    private static String sentenceCase(String words) {
        return Character.toUpperCase(words.charAt(0)) + words.substring(1);
    }

    /** A value for people: 5 for 5.0, lists with commas. */
    private static String plain(@Nullable Object value) {
        return switch (value) {
            case null -> "";
            case Double number when number == Math.rint(number) && Math.abs(number) < 1e15 ->
                    Long.toString(number.longValue());
            case List<?> list ->
                    String.join(", ", list.stream().map(ComparisonPage::plain).toList());
            case Map<?, ?> map ->
                    String.join(
                            ", ",
                            map.entrySet().stream()
                                    .map(e -> e.getKey() + " " + plain(e.getValue()))
                                    .toList());
            default -> value.toString();
        };
    }
}
