// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.PictureReport;
import io.github.asg4j.evaluate.Drawing.Drawn;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;

/** Values of a picture's report as people read them; those of {@link io.github.asg4j.ReportJson} by {@link #plain}. */
final class ReportText {
    private static final double MEBIBYTE = 1 << 20;

    private ReportText() {}

    /** Width and height. */
    static String size(Drawn d) {
        return d.width() + " × " + d.height();
    }

    /** Time from text to pixels. */
    static String seconds(Drawn d) {
        return String.format(Locale.ROOT, "%.1f", d.report().times().total() / 1000);
    }

    /** Our own off-heap memory at its peak, in MiB: host and all devices. */
    static String buffers(Drawn d) {
        PictureReport.MemoryUse memory = d.report().memory();
        return mebibytes(
                memory.host() + memory.devices().values().stream().mapToLong(n -> n).sum());
    }

    /** Peak resident memory of the process while the picture was drawn, in MiB; or empty. */
    static String processPeak(Drawn d) {
        OptionalLong bytes = d.processPeak();
        return bytes.isPresent() ? mebibytes(bytes.getAsLong()) : "";
    }

    private static String mebibytes(long bytes) {
        return String.format(
                Locale.ROOT, bytes < 10 * MEBIBYTE ? "%.1f" : "%.0f", bytes / MEBIBYTE);
    }

    static String objects(int count) {
        return count == 1 ? "1 object" : count + " objects";
    }

    /** {@code guide_weight} is "Guide weight". */
    static String spoken(String key) {
        return capitalised(key.replace('_', ' '));
    }

    static String capitalised(String words) {
        return Character.toUpperCase(words.charAt(0)) + words.substring(1);
    }

    /** 5 for 5.0, lists with commas, nothing for null. */
    static String plain(@Nullable Object value) {
        return switch (value) {
            case null -> "";
            case Double number when number == Math.rint(number) && Math.abs(number) < 1e15 ->
                    Long.toString(number.longValue());
            case List<?> list -> String.join(", ", list.stream().map(ReportText::plain).toList());
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
