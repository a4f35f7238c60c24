// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.Binding;
import io.github.asg4j.ort.OrtSession;
import io.github.asg4j.ort.Tensor;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A loaded control network: it reads what the denoiser reads and a picture, and gives what is added to the
 * denoiser's skip connections. Thread-safe; every worker makes bindings of its own.
 */
public final class ControlNetwork implements AutoCloseable {
    private static final long ANY = GraphContract.ANY;
    private static final String CONDITION = "condition";
    private static final String SCALE = "scale";
    private static final int PLACE_WIDTH = 6;

    private final OrtSession session;
    private final ControlManifest manifest;

    /**
     * @param session closed with this object
     */
    ControlNetwork(OrtSession session, ControlManifest manifest) {
        this.session = session;
        this.manifest = manifest;
        try {
            GraphContract graph = new GraphContract(session);
            List<String> names = new ArrayList<>();
            for (InputRole role : manifest.roles()) {
                names.add(role.usualName());
                graph.input(role.usualName(), "float32", dims(role, ANY, ANY, ANY, ANY));
            }
            names.addAll(List.of(CONDITION, SCALE));
            graph.onlyInputs(names);
            graph.input(CONDITION, "float32", ANY, 3, ANY, ANY);
            graph.input(SCALE, "float32", 1);
            for (ControlManifest.Residual residual : manifest.residuals()) {
                graph.output(residual.output(), "float32", ANY, residual.channels(), ANY, ANY);
            }
        } catch (RuntimeException e) {
            session.close();
            throw e;
        }
    }

    private long[] dims(InputRole role, long rows, long tokens, long h, long w) {
        return switch (role) {
            case SAMPLE -> new long[] {rows, manifest.latentChannels(), h, w};
            case TIMESTEP -> new long[] {rows};
            case TEXT -> new long[] {rows, tokens, manifest.textWidth()};
            case POOLED -> new long[] {rows, manifest.pooledWidth()};
            case PLACE -> new long[] {rows, PLACE_WIDTH};
            case TOKEN_WEIGHTS, GUIDANCE, INPAINT ->
                    throw new IllegalArgumentException(role + " is no input of a control network");
        };
    }

    /** What control.json says of it. */
    public ControlManifest manifest() {
        return manifest;
    }

    /**
     * Binds buffers for calls of one shape; all off-heap float32, where the session runs.
     *
     * @param rows B
     * @param h latent rows
     * @param w latent columns
     * @param inputs what the denoiser of the call reads, by role
     * @param condition [B, 3, h * factor, w * factor], RGB in [0, 1]
     * @param scale [1], what the residuals are multiplied with
     * @param residuals in the order of the manifest [B, C_i, h / scale_i, w / scale_i], written
     */
    public Binding bind(
            int rows,
            int h,
            int w,
            Map<InputRole, MemorySegment> inputs,
            MemorySegment condition,
            MemorySegment scale,
            List<MemorySegment> residuals) {
        MemorySegment text = Objects.requireNonNull(inputs.get(InputRole.TEXT), "text embedding");
        long tokens = text.byteSize() / (4L * rows * manifest.textWidth());
        Map<String, Tensor> bound = new LinkedHashMap<>();
        for (InputRole role : manifest.roles()) {
            MemorySegment data = Objects.requireNonNull(inputs.get(role), role::id);
            bound.put(role.usualName(), Tensor.floats(data, dims(role, rows, tokens, h, w)));
        }
        long factor = manifest.vaeFactor();
        bound.put(CONDITION, Tensor.floats(condition, rows, 3, h * factor, w * factor));
        bound.put(SCALE, Tensor.floats(scale, 1));
        Map<String, Tensor> outputs = new LinkedHashMap<>();
        for (int i = 0; i < residuals.size(); i++) {
            ControlManifest.Residual r = manifest.residuals().get(i);
            outputs.put(
                    r.output(),
                    Tensor.floats(residuals.get(i), rows, r.channels(), r.size(h), r.size(w)));
        }
        return session.bind(bound, outputs);
    }

    /** Frees the network; what is bound to it keeps it until it is closed. Idempotent. */
    @Override
    public void close() {
        session.close();
    }
}
