// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static io.github.asg4j.evaluate.Html.element;
import static io.github.asg4j.evaluate.Html.text;

import io.github.asg4j.AttentionReport;
import io.github.asg4j.GuideOptions.Mask;
import io.github.asg4j.GuideOptions.Space;
import io.github.asg4j.evaluate.Drawing.Drawn;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The figures of ASGDiffusion's paper (arXiv 2412.06163) for the picture at hand. */
record AsgFigures(Gallery gallery, PictureView views) {
    /** Columns of the figure of masks; more steps than that are thinned out. */
    private static final int MAX_STEPS = 25;

    private static final String PLUS = "+\u00a0";

    /** Fig. 6: rows are blocks, columns steps. */
    Html attention() {
        List<AttentionReport> steps = thinned(gallery.attention());
        Html.Element head = element("tr", element("td"));
        for (AttentionReport step : steps) {
            head = head.add(element("th", Integer.toString(step.step() + 1)).with("scope", "col"));
        }
        Html.Element body = element("tbody");
        for (int block = 0; block < steps.getFirst().blocks().size(); block++) {
            List<Html> maps = new ArrayList<>();
            for (AttentionReport step : steps) {
                AttentionReport.Map map = step.blocks().get(block);
                maps.add(map(HeatMap.overItsRange(map), map, step.step()));
            }
            body = body.add(row(steps.getFirst().blocks().get(block).name(), maps));
        }
        List<Html> masks = new ArrayList<>();
        for (AttentionReport step : steps) {
            masks.add(map(HeatMap.overUnit(step.mask()), step.mask(), step.step()));
        }
        body = body.add(row("mask M", masks));
        return element(
                "section",
                element("h2", "Attention of the key patch"),
                element(
                        "p",
                        "Cross-attention to the prompt’s tokens in the up blocks of the UNet, by"
                            + " step of stage 1 (the paper’s Fig. 6), and the mask M made of it,"
                            + " which can weigh the guidance (Eq. 4) and tell the windows of stage"
                            + " 2 with the object from background; from ASGDiffusion’s picture"
                            + " above."),
                element("div", element("table", element("thead", head), body).classed("maps"))
                        .classed("scroll")
                        .with("tabindex", "0"),
                element(
                                "p",
                                "Mean over heads and chosen tokens. Dark to light: a block’s map"
                                        + " from its least to its greatest value (point at it for"
                                        + " the numbers), M from 0 to 1.")
                        .classed("note"));
    }

    private static Html.Element row(String name, List<Html> maps) {
        return element("tr", element("th", name).with("scope", "row")).add(maps);
    }

    private static List<AttentionReport> thinned(List<AttentionReport> all) {
        if (all.size() <= MAX_STEPS) {
            return all;
        }
        List<AttentionReport> some = new ArrayList<>();
        for (int i = 0; i < MAX_STEPS; i++) {
            some.add(all.get((int) ((long) i * (all.size() - 1) / (MAX_STEPS - 1))));
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

    /** Fig. 7: a row for each space. */
    Html ablation() {
        Comparison comparison = gallery.comparison();
        List<Html> cells = new ArrayList<>();
        for (Space space : comparison.spaces()) {
            double weight = comparison.ablationWeight(space);
            cells.add(side(title(space), "w\u00a0=\u00a0" + ReportText.plain(weight)));
            cells.add(
                    cells.size() == 1
                            ? cell(comparison.interactionOnly(), "without guidance")
                            : same());
            cells.add(guided(space, Mask.NONE, weight));
            cells.add(guided(space, Mask.KEY, weight));
        }
        return element(
                "section",
                element("h2", "Interaction, guidance, mask"),
                element(
                        "p",
                        "Stage 1 built up part by part (the paper’s Fig. 7): patches that exchange"
                                + " pixels only; with guidance by the key patch (Eq. 3); with"
                                + " guidance where the key patch’s mask has it (Eq. 4). "
                                + spacesText(comparison)),
                matrix(List.of("Interaction", PLUS + "guidance", PLUS + "mask"), cells));
    }

    private static String spacesText(Comparison comparison) {
        return comparison.spaces().size() == 1
                ? "Guidance is on noise estimates."
                : "Guidance is on noise estimates, as the paper writes it, in the first row, and on"
                        + " predicted clean latents in the second.";
    }

    /** Fig. 8 and 9: a row for each space without and with mask. */
    Html sweep() {
        Comparison comparison = gallery.comparison();
        List<String> heads = new ArrayList<>();
        heads.add("w\u00a0=\u00a00");
        List<Html> cells = new ArrayList<>();
        for (double weight : Comparison.WEIGHTS) {
            heads.add("w\u00a0=\u00a0" + ReportText.plain(weight));
        }
        for (Space space : comparison.spaces()) {
            for (Mask mask : List.of(Mask.NONE, Mask.KEY)) {
                cells.add(side(title(space), mask == Mask.NONE ? "no mask" : "key patch’s mask"));
                cells.add(
                        cells.size() == 1
                                ? cell(comparison.interactionOnly(), "without guidance")
                                : same());
                for (double weight : Comparison.WEIGHTS) {
                    cells.add(guided(space, mask, weight));
                }
            }
        }
        return element(
                "section",
                element("h2", "Guide weight"),
                element(
                        "p",
                        "The weight w of the guidance, without and with mask (the paper’s Fig. 8"
                                + " and 9), always with pixel interaction. Without guidance there"
                                + " is nothing to mask: w\u00a0=\u00a00 is one picture for all"
                                + " rows."),
                matrix(heads, cells));
    }

    private static String title(Space space) {
        return space == Space.NOISE ? "Noise estimates" : "Clean latents";
    }

    private static Html.Element matrix(List<String> heads, List<Html> cells) {
        Html.Element matrix =
                element("div", element("div").classed("corner"))
                        .classed("matrix")
                        .with("style", "--columns: " + heads.size());
        for (String head : heads) {
            matrix = matrix.add(element("div", head).classed("head"));
        }
        return element("div", matrix.add(cells)).classed("scroll").with("tabindex", "0");
    }

    private static Html side(String title, String more) {
        return element("div", element("b", title), text(more)).classed("side");
    }

    private static Html same() {
        return element("div", "as above").classed("same");
    }

    private Html guided(Space space, Mask mask, double weight) {
        String how =
                "guided on "
                        + title(space).toLowerCase(Locale.ROOT)
                        + " with weight "
                        + ReportText.plain(weight)
                        + (mask == Mask.NONE ? " without mask" : " and mask");
        return cell(gallery.comparison().guided(space, mask, weight), how);
    }

    private Html cell(Shot shot, String how) {
        Drawing drawing = gallery.get(shot);
        Html.Element figure = element("figure", views.of(drawing, how));
        return drawing instanceof Drawn d && d.objects().isPresent()
                ? figure.add(element("figcaption", ReportText.objects(d.objects().getAsInt())))
                : figure;
    }
}
