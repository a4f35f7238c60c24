// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ort;

import io.github.asg4j.AsgException;

import org.bytedeco.onnxruntime.MemoryInfo;
import org.bytedeco.onnxruntime.RunOptions;
import org.bytedeco.onnxruntime.SessionOptions;

import java.util.Collection;

/** What runs a network in the place of the CPU. */
public interface Provider {
    /** Makes sessions with these options run on it. */
    void configure(SessionOptions session);

    /**
     * Prepares the runs of a binding.
     *
     * @param inputs what it binds
     * @throws io.github.asg4j.DeviceException it cannot run with them
     */
    void configure(RunOptions run, Collection<Tensor> inputs);

    /**
     * Whether it compiles a network for each set of shapes. It then runs it on the CPU, with tensors in
     * host memory.
     */
    default boolean compiles() {
        return false;
    }

    /**
     * The same for networks whose runs take more memory than their weights, so that none is kept for other
     * shapes or another process.
     *
     * @param runs that take place at the same time
     * @param threads of each of them
     */
    default Provider keepingNone(int runs, int threads) {
        return this;
    }

    /** Bytes of memory that compiled networks nobody uses may take. */
    default long keptBytes() {
        return 0;
    }

    /** Where compiled networks are kept. */
    default CompiledCache cache() {
        return CompiledCache.NONE;
    }

    /** What a compiled network depends on beside the graph and its shapes: versions, the CPU. */
    default String compiler() {
        return "";
    }

    /**
     * The exception for a network that could not be compiled.
     *
     * @param what the network and its shapes
     */
    default AsgException compileFailure(String what, RuntimeException cause) {
        return OrtRuntime.loadFailure(what, cause);
    }

    /** Where tensors that are bound have to lie. */
    MemoryInfo memory();

    /**
     * Whether what it holds can still be freed. ONNX Runtime ends the process when CUDA refuses to take
     * memory back, as it does once a device is lost: sessions are then left as they are.
     */
    default boolean isAlive() {
        return true;
    }

    /** Told before every run what it reads and writes, for those that check it. */
    default void enqueues(Collection<Tensor> inputs, Collection<Tensor> outputs) {}
}
