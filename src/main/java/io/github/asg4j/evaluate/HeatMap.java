// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.AttentionReport;
import io.github.asg4j.image.PictureEncoding;

import java.lang.foreign.MemorySegment;
import java.nio.FloatBuffer;

/** Attention maps as pictures, dark to light, one pixel a cell. */
final class HeatMap {
    /** Corners of the course of colours: lightness rises evenly from one to the next. */
    private static final int[][] COLOURS = {
        {14, 16, 38}, {58, 36, 98}, {128, 44, 108}, {196, 72, 92}, {240, 134, 82}, {253, 236, 188}
    };

    /** Maps flatter than that are shown in one colour, as the mask takes them for 1. */
    private static final float FLAT = 1e-8f;

    private final AttentionReport.Map map;
    private final float least;
    private final float most;

    /** Shown over the map's own range. */
    static HeatMap overItsRange(AttentionReport.Map map) {
        float least = Float.POSITIVE_INFINITY;
        float most = Float.NEGATIVE_INFINITY;
        FloatBuffer values = map.values();
        for (int i = 0; i < map.height() * map.width(); i++) {
            least = Math.min(least, values.get(i));
            most = Math.max(most, values.get(i));
        }
        return new HeatMap(map, least, most);
    }

    /** Shown from 0 to 1. */
    static HeatMap overUnit(AttentionReport.Map map) {
        return new HeatMap(map, 0, 1);
    }

    private HeatMap(AttentionReport.Map map, float least, float most) {
        this.map = map;
        this.least = least;
        this.most = most;
    }

    float least() {
        return least;
    }

    float most() {
        return most;
    }

    /** RGB8, row-major. */
    byte[] pixels() {
        byte[] rgb = new byte[map.height() * map.width() * 3];
        FloatBuffer values = map.values();
        for (int i = 0; i < map.height() * map.width(); i++) {
            float part = most - least < FLAT ? 1 : (values.get(i) - least) / (most - least);
            colour(part, rgb, 3 * i);
        }
        return rgb;
    }

    byte[] png() {
        return PictureEncoding.PNG.encode(
                map.width(), map.height(), MemorySegment.ofArray(pixels()), "");
    }

    private static void colour(float part, byte[] rgb, int at) {
        float place = Math.clamp(part, 0f, 1f) * (COLOURS.length - 1);
        int below = Math.min((int) place, COLOURS.length - 2);
        float rest = place - below;
        for (int c = 0; c < 3; c++) {
            int from = COLOURS[below][c];
            int to = COLOURS[below + 1][c];
            rgb[at + c] = (byte) Math.round(from + rest * (to - from));
        }
    }
}
