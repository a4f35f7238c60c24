// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import org.bytedeco.onnxruntime.MemoryInfo;
import org.bytedeco.onnxruntime.RunOptions;
import org.bytedeco.onnxruntime.SessionOptions;

import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.List;
import java.util.function.BiConsumer;

/**
 * Networks on the CPU in the place of an emulated GPU, whose memory is the host's: a run is done when
 * it is enqueued.
 *
 * @param before is told the memory that each run reads and writes
 */
public record EmulatedProvider(BiConsumer<List<MemorySegment>, List<MemorySegment>> before)
        implements Provider {
    @Override
    public void configure(SessionOptions session) {}

    @Override
    public void configure(RunOptions run, Collection<Tensor> inputs) {}

    @Override
    public MemoryInfo memory() {
        return OrtRuntime.hostMemory();
    }

    @Override
    public void enqueues(Collection<Tensor> inputs, Collection<Tensor> outputs) {
        before.accept(
                inputs.stream().filter(t -> !t.onHost()).map(Tensor::data).toList(),
                outputs.stream().map(Tensor::data).toList());
    }
}
