// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static io.github.asg4j.evaluate.Html.element;

import io.github.asg4j.evaluate.Drawing.Drawn;
import io.github.asg4j.evaluate.Drawing.Refused;

/**
 * A picture that zooms and pans together with all others of its page (zoom.js), or why there is none.
 *
 * @param prompt of the picture, for those who do not see it
 * @param like its size stands for the size of what was not drawn
 */
record PictureView(String prompt, Drawn like) {
    /**
     * @param how it was drawn, as in "by DemoFusion"
     */
    Html.Element of(Drawing drawing, String how) {
        return switch (drawing) {
            case Drawn d ->
                    element(
                                    "div",
                                    new Html.Png(
                                            d.png(),
                                            d.width(),
                                            d.height(),
                                            "“" + prompt + "” " + how))
                            .classed("view")
                            .with("style", aspect(d));
            case Refused r ->
                    element("div", element("b", "Not drawn"), element("span", r.reason()))
                            .classed("refused")
                            .with("style", aspect(like));
        };
    }

    private static String aspect(Drawn d) {
        return "aspect-ratio: " + d.width() + " / " + d.height();
    }
}
