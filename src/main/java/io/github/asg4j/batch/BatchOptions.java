// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

import java.nio.file.Path;
import java.util.List;

/**
 * A batch. Each row of the input is drawn with each setting, method and seed.
 *
 * @param input rows: .txt, .csv, .jsonl, .ndjson or .parquet
 * @param out folder of pictures and records; made if it is not there. A shard has a folder of its own
 *     in it
 * @param defaults options of rows that do not give them
 * @param settings at least one, in the order in which they are drawn
 * @param methods that draw each row with a setting that names none; empty: the row's
 * @param seeds pictures of each row, setting and method: seeds from the row's on
 * @param shard the share that is drawn here
 * @param format of the files of pictures
 * @param failFast stop at the first row that cannot be drawn
 */
public record BatchOptions(
        Path input,
        Path out,
        List<Given> defaults,
        List<Setting> settings,
        List<String> methods,
        int seeds,
        Shard shard,
        PictureFormat format,
        boolean failFast) {
    public BatchOptions {
        defaults = List.copyOf(defaults);
        settings = List.copyOf(settings);
        methods = List.copyOf(methods);
    }

    /** The folder of this shard's pictures and records. */
    public Path folder() {
        return shard.equals(Shard.ALL) ? out : out.resolve(shard.folder());
    }
}
