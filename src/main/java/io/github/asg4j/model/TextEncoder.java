// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.device.Memory;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Draft. */
public final class TextEncoder {
    private final OrtSession session;
    private final Manifest.TextEncoder info;

    TextEncoder(OrtSession session, Manifest.TextEncoder info) {
        this.session = session;
        this.info = info;
    }

    private long last(String output) {
        return java.util.Objects.requireNonNull(session.outputs().get(output)).dims().getLast();
    }

    public long hiddenBytes() {
        return 4L * info.length() * last(info.hidden());
    }

    public long pooledBytes() {
        return 4L * last(java.util.Objects.requireNonNull(info.pooled()));
    }

    public void encode(int[] ids, MemorySegment hidden, @Nullable MemorySegment pooled) {
        try (Memory memory = new Memory("text")) {
            MemorySegment in = memory.allocate(8L * ids.length, "ids");
            for (int i = 0; i < ids.length; i++) {
                in.setAtIndex(ValueLayout.JAVA_LONG, i, ids[i]);
            }
            Map<String, Tensor> out = new LinkedHashMap<>();
            out.put(info.hidden(), Tensor.floats(hidden, 1, info.length(), last(info.hidden())));
            if (pooled != null) {
                out.put(java.util.Objects.requireNonNull(info.pooled()), Tensor.floats(pooled, 1, last(info.pooled())));
            }
            try (var binding =
                    session.bind(Map.of("input_ids", Tensor.longs(in, 1, ids.length)), out)) {
                binding.run();
            }
        }
    }
}
