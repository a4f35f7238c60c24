// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

import io.github.asg4j.device.Memory;
import io.github.asg4j.model.ControlManifest.Residual;
import io.github.asg4j.model.ControlNetwork;
import io.github.asg4j.model.InputRole;
import io.github.asg4j.ort.Binding;
import io.github.asg4j.run.worker.Worker;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * One worker's control networks in calls of one shape, bound once: what they are shown, and the sum of what
 * they give, which the denoiser reads.
 */
final class ControlBuffers implements AutoCloseable {
    private final Worker worker;
    private final Controls controls;

    /** Residuals of all networks, one after the other: what the denoiser reads. */
    private final MemorySegment sum;

    /** The same of the network that ran last; the first one writes into the sum. */
    private final MemorySegment own;

    private final List<MemorySegment> residuals;
    private final long floats;

    /** By network: [rows, 3, h * factor, w * factor]. */
    private final MemorySegment[] conditions;

    private final Binding[] bindings;

    /** Whether the sum holds zeros. */
    private boolean cleared = true;

    /**
     * @param inputs what the denoiser of the call reads, by role
     */
    ControlBuffers(
            Worker worker,
            Controls controls,
            Map<InputRole, MemorySegment> inputs,
            int rows,
            int h,
            int w) {
        this.worker = worker;
        this.controls = controls;
        List<Residual> shapes = controls.nets().getFirst().on(worker).manifest().residuals();
        floats = shapes.stream().mapToLong(r -> padded(rows * r.row(h, w))).sum();
        sum = worker.floats(floats, "residuals");
        boolean several = controls.nets().size() > 1;
        own = several ? worker.floats(floats, "residuals of a control network") : sum;
        residuals = cut(sum, shapes, rows, h, w);
        List<MemorySegment> ofOwn = cut(own, shapes, rows, h, w);
        int count = controls.nets().size();
        conditions = new MemorySegment[count];
        bindings = new Binding[count];
        for (int net = 0; net < count; net++) {
            ControlNetwork network = controls.nets().get(net).on(worker);
            ShownPicture picture = controls.nets().get(net).picture();
            conditions[net] = worker.floats(rows * picture.floats(h, w), "picture of a control");
            bindings[net] =
                    network.bind(
                            rows,
                            h,
                            w,
                            inputs,
                            conditions[net],
                            weight(controls.nets().get(net)),
                            net == 0 ? residuals : ofOwn);
        }
    }

    private static long padded(long count) {
        long unit = Memory.ALIGNMENT / Float.BYTES;
        return Math.ceilDiv(count, unit) * unit;
    }

    private static List<MemorySegment> cut(
            MemorySegment all, List<Residual> shapes, int rows, int h, int w) {
        List<MemorySegment> parts = new ArrayList<>();
        long at = 0;
        for (Residual shape : shapes) {
            long count = rows * shape.row(h, w);
            parts.add(all.asSlice(at * Float.BYTES, count * Float.BYTES));
            at += padded(count);
        }
        return parts;
    }

    private MemorySegment weight(Controls.Net net) {
        MemorySegment host = worker.hostFloats(1, "weight of a control");
        host.set(ValueLayout.JAVA_FLOAT, 0, net.weight());
        MemorySegment weight = worker.floats(1, "weight of a control");
        worker.queue().write(weight, host);
        return weight;
    }

    /** The sums, as the denoiser takes them. */
    List<MemorySegment> residuals() {
        return residuals;
    }

    /**
     * Runs the networks that take part in a step and leaves the sum of what they give: zeros, if none does.
     *
     * @param t step of the schedule
     * @param k step of the stage
     * @param rows per view
     */
    void run(int t, int k, ShownPicture.Views views, int rows) {
        boolean first = true;
        for (int net = 0; net < bindings.length; net++) {
            if (!controls.nets().get(net).activeIn().get(t)) {
                continue;
            }
            views.show(net, k, conditions[net], rows);
            worker.run(bindings[net]);
            if (!first) {
                worker.kernels().blend(sum, sum, own, floats, 1, 1);
            } else if (net > 0) {
                worker.queue().copy(sum, own, own.byteSize());
            }
            first = false;
        }
        if (first && !cleared) {
            worker.kernels().scaleShift(sum, sum, floats, 0, 0);
        }
        cleared = first;
    }

    @Override
    public void close() {
        for (Binding binding : bindings) {
            binding.close();
        }
    }
}
