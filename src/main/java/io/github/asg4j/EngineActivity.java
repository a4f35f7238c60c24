// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What an engine is at ({@link Engine#activity}).
 *
 * @param waiting requests that wait
 * @param capacity requests that may wait
 * @param running requests that are drawn, 0 or 1
 * @param busy time that each worker has spent in the denoiser, in kernels and in the exchange of pixels
 *     since the engine was opened, by its name as in "cpu#0" and "cuda:1"
 * @param lost names of the GPUs that were lost meanwhile: they draw no more
 */
public record EngineActivity(
        int waiting, int capacity, int running, Map<String, Duration> busy, List<String> lost) {
    public EngineActivity {
        lost = List.copyOf(lost);
        busy = Collections.unmodifiableMap(new LinkedHashMap<>(busy));
    }

    /** Whether a device is left to draw with. */
    public boolean canDraw() {
        return lost.size() < busy.size();
    }
}
