// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

/**
 * How a method is called on a page.
 *
 * @param title its usual name
 * @param paper where it was published; empty: nowhere
 * @param idea what it does, for someone who knows the field
 */
record MethodText(String title, String paper, String idea) {
    /** Returns the text of a method of the engine; one that is unknown here goes by its option. */
    static MethodText of(String method) {
        return switch (method) {
            case "asg" ->
                    new MethodText(
                            "ASGDiffusion",
                            "arXiv\u00a02412.06163",
                            "native-size patches guided by the first, then overlapping windows");
            case "direct" ->
                    new MethodText("Direct inference", "", "the whole canvas in every UNet call");
            case "multidiffusion" ->
                    new MethodText(
                            "MultiDiffusion",
                            "arXiv\u00a02302.08113",
                            "overlapping windows, averaged in every step");
            case "cutdiffusion" ->
                    new MethodText(
                            "CutDiffusion",
                            "arXiv\u00a02404.15141",
                            "native-size patches that exchange pixels, then overlapping windows");
            case "demofusion" ->
                    new MethodText(
                            "DemoFusion",
                            "arXiv\u00a02311.16973",
                            "native size first, then phases of growing size with skip residual and"
                                    + " dilated sampling");
            case "relay" ->
                    new MethodText(
                            "Relay",
                            "arXiv\u00a02503.02537",
                            "native size first, then enlarged, noised anew and denoised in a few"
                                    + " steps");
            case "scalecrafter" ->
                    new MethodText(
                            "ScaleCrafter",
                            "arXiv\u00a02310.07702",
                            "the whole canvas, convolutions re-dilated in the first steps");
            case "superres" ->
                    new MethodText(
                            "Super-resolution",
                            "",
                            "the native-size picture enlarged by a network of BSRGAN's kind");
            default -> new MethodText(method, "", "");
        };
    }

    /** Paper and idea; empty if there is neither. */
    String sentence() {
        String text = idea.isEmpty() ? "" : ReportText.capitalised(idea) + ".";
        return paper.isEmpty() ? text : text + " " + paper + ".";
    }
}
