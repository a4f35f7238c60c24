// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** A summary as a table, for terminals; the page takes its columns too. */
public final class SummaryTable {
    /**
     * A column with a measure.
     *
     * @param title over it
     * @param measure of {@link Measures#NAMES}
     * @param format of one number
     * @param factor the number is shown times this
     */
    record Column(String title, String measure, String format, double factor) {
        String number(double value) {
            if (Double.isNaN(value)) {
                return "-";
            }
            String text = String.format(Locale.ROOT, format, value * factor);
            return text.matches("-[0.]+") ? text.substring(1) : text;
        }

        /** Returns the value, such as "75"; empty if it was not measured. */
        String value(Map<String, Interval> measures) {
            Interval interval = measures.get(measure);
            return interval == null ? "" : number(interval.value());
        }

        /** Returns the interval, such as "63..84"; empty if nothing was measured or all values are the same. */
        String interval(Map<String, Interval> measures) {
            Interval interval = measures.get(measure);
            return interval == null
                            || Double.isNaN(interval.low())
                            || interval.low() == interval.high()
                    ? ""
                    : number(interval.low()) + ".." + number(interval.high());
        }

        /** Returns "75 (63..84)" for shares, "1.25" for the rest; empty if it was not measured. */
        String cell(Map<String, Interval> measures) {
            String interval = interval(measures);
            return interval.isEmpty() || !measure.endsWith("_share")
                    ? value(measures)
                    : value(measures) + " (" + interval + ")";
        }
    }

    static final List<Column> COLUMNS =
            List.of(
                    new Column("one object %", "one_object_share", "%.0f", 100),
                    new Column("objects", "mean_count", "%.2f", 1),
                    new Column("right %", "right_share", "%.0f", 100),
                    new Column("aspect", "aspect", "%.2f", 1),
                    new Column("to square", Measures.ASPECT_TO_SQUARE, "%.3f", 1),
                    new Column("KID", "kid", "%.3f", 1),
                    new Column("FID", "fid", "%.1f", 1),
                    new Column("KID crop", "kid_crop", "%.3f", 1),
                    new Column("FID crop", "fid_crop", "%.1f", 1),
                    new Column("IS", "inception_score", "%.2f", 1),
                    new Column("CLIP", "clip_score", "%.2f", 1),
                    new Column("sharpness", "sharpness", "%.2f", 1),
                    new Column("power 1/16", DetailBands.MEASURES.get(0), "%.2f", 1),
                    new Column("power 1/8", DetailBands.MEASURES.get(1), "%.2f", 1),
                    new Column("power 1/4", DetailBands.MEASURES.get(2), "%.2f", 1),
                    new Column("power 1/2", DetailBands.MEASURES.get(3), "%.2f", 1),
                    new Column("seam", "seam", "%.3f", 1),
                    new Column("patch IoU", "patch_iou", "%.2f", 1),
                    new Column("patch noise", "patch_noise", "%.2f", 1),
                    new Column("evaluations", "guided_evaluations", "%.0f", 1),
                    new Column("native", Measures.NATIVE_EVALUATIONS, "%.0f", 1),
                    new Column("seconds", "seconds", "%.2f", 1));

    private SummaryTable() {}

    /** The columns of which any row has a value. */
    static List<Column> columns(List<Map<String, Interval>> rows) {
        return COLUMNS.stream()
                .filter(column -> rows.stream().anyMatch(r -> r.containsKey(column.measure())))
                .toList();
    }

    /** Lines of aligned columns; in brackets 95 % intervals, of shares only. */
    public static String text(Summary summary) {
        List<Column> columns = columns(summary.rows().stream().map(Summary.Row::measures).toList());
        List<List<String>> lines = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of("method", "size", "setting", "n"));
        columns.forEach(column -> head.add(column.title()));
        lines.add(head);
        for (Summary.Row row : summary.rows()) {
            List<String> line = new ArrayList<>();
            line.add(row.key().method());
            line.add(row.key().size());
            line.add(row.key().setting());
            line.add(Integer.toString(row.n()));
            columns.forEach(column -> line.add(column.cell(row.measures())));
            lines.add(line);
        }
        int[] widths = new int[head.size()];
        for (List<String> line : lines) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], line.get(i).length());
            }
        }
        StringBuilder text = new StringBuilder();
        for (List<String> line : lines) {
            StringBuilder out = new StringBuilder();
            for (int i = 0; i < widths.length; i++) {
                String cell = line.get(i);
                out.append(cell).append(" ".repeat(widths[i] - cell.length() + 2));
            }
            text.append(out.toString().stripTrailing()).append(System.lineSeparator());
        }
        return text.toString().stripTrailing();
    }
}
