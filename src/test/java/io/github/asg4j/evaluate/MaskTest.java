// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.BitSet;
import java.util.List;

class MaskTest {
    /** '#' is set; rows of one length. */
    static Mask mask(String... rows) {
        BitSet set = new BitSet();
        for (int y = 0; y < rows.length; y++) {
            for (int x = 0; x < rows[y].length(); x++) {
                set.set(y * rows[y].length() + x, rows[y].charAt(x) == '#');
            }
        }
        return Mask.of(rows[0].length(), rows.length, set);
    }

    private static List<Mask.Component> components(Mask mask, double smallest) {
        return mask.components(smallest, new float[mask.pixels()]);
    }

    @Test
    void holesAreFilledUnlessAPathByEdgesLeadsOut() {
        assertEquals(
                mask("#####.", "#####.", "#####.", "#####."),
                mask("#####.", "#...#.", "#.#.#.", "#####.").filled());
        Mask open = mask("#####", "#...#", "#.#.#", "#.###");
        assertEquals(open, open.filled());
        // A gap across a corner is no way out.
        assertEquals(
                mask(".###", "####", "####", "####"),
                mask(".###", "#..#", "#..#", "####").filled());
    }

    @Test
    void openingTakesSpecksAndThinLines() {
        assertEquals(
                mask("......", ".###..", ".###..", ".###..", "......"),
                mask("#.....", ".###..", ".#####", ".###..", ".....#").opened());
        assertEquals(0, mask("##", "##").opened().count());
    }

    @Test
    void componentsTouchByCorners() {
        Mask mask = mask("##....", "..#...", "......", "....##", "#...##");
        assertEquals(
                List.of(
                        new Mask.Component(4, 0, 3, 4, 5, 6),
                        new Mask.Component(3, 0, 0, 0, 2, 3),
                        new Mask.Component(1, 0, 4, 0, 5, 1)),
                components(mask, 0));
        assertEquals(2, components(mask, 3).size());
        assertEquals(0, components(mask("...", "..."), 0).size());
    }

    @Test
    void componentsKnowTheMeanOfTheirValues() {
        float[] values = {1, 0, 4, 3, 0, 6};
        assertEquals(
                List.of(2.0, 5.0),
                mask("#.#", "#.#").components(1, values).stream()
                        .map(Mask.Component::mean)
                        .toList());
    }

    @Test
    void intersectionOverUnion() {
        Mask a = mask("##..", "##..");
        assertEquals(1, a.iou(a));
        assertEquals(1.0 / 3, a.iou(mask(".##.", ".##.")), 1e-12);
        assertEquals(0, a.iou(mask("....", "....")));
        assertTrue(Double.isNaN(mask("..").iou(mask(".."))));
    }
}
