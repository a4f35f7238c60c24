// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.worker;

import io.github.asg4j.ort.Binding;

import java.lang.foreign.MemorySegment;

/** A thread that runs networks whose tensors lie in host memory: a worker's, or the request's. */
public interface NetworkThread {
    /** Runs a network so that another thread can end it. */
    void run(Binding binding);

    /** Float32 [count] of host memory, freed after all of its work. */
    MemorySegment hostFloats(long count, String label);
}
