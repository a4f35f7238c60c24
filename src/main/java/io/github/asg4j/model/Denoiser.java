// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Draft. */
public final class Denoiser {
    private final OrtSession session;
    private final Manifest manifest;

    Denoiser(OrtSession session, Manifest manifest) {
        this.session = session;
        this.manifest = manifest;
    }

    public int channels() {
        return manifest.latent().channels();
    }

    public boolean hasTimeIds() {
        return manifest.denoiser().inputs().contains("time_ids");
    }

    public boolean hasMaps() {
        return !manifest.denoiser().masks().isEmpty();
    }

    public int mapCount() {
        return manifest.denoiser().masks().size();
    }

    public int mapSize(int block, int extent) {
        return Math.ceilDiv(extent, manifest.denoiser().masks().get(block).scale());
    }

    public Binding bind(
            int rows,
            int h,
            int w,
            MemorySegment sample,
            MemorySegment timestep,
            MemorySegment hidden,
            @Nullable MemorySegment pooled,
            @Nullable MemorySegment timeIds,
            @Nullable MemorySegment tokenWeights,
            MemorySegment noise,
            List<MemorySegment> maps) {
        Map<String, Tensor> in = new LinkedHashMap<>();
        int length = manifest.textEncoders().getFirst().length();
        in.put("sample", Tensor.floats(sample, rows, channels(), h, w));
        in.put("timestep", Tensor.floats(timestep, rows));
        in.put("encoder_hidden_states", Tensor.floats(hidden, rows, length, hidden.byteSize() / 4 / rows / length));
        if (pooled != null) {
            in.put("text_embeds", Tensor.floats(pooled, rows, pooled.byteSize() / 4 / rows));
        }
        if (timeIds != null) {
            in.put("time_ids", Tensor.floats(timeIds, rows, 6));
        }
        if (tokenWeights != null) {
            in.put("token_weights", Tensor.floats(tokenWeights, rows, length));
        }
        Map<String, Tensor> out = new LinkedHashMap<>();
        out.put("noise", Tensor.floats(noise, rows, channels(), h, w));
        for (int i = 0; i < maps.size(); i++) {
            out.put(
                    manifest.denoiser().masks().get(i).output(),
                    Tensor.floats(maps.get(i), rows, mapSize(i, h), mapSize(i, w)));
        }
        return session.bind(in, out);
    }
}
