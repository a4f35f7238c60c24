// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

import io.github.asg4j.ort.OrtSession;

import org.jspecify.annotations.Nullable;

import java.util.function.Consumer;

/** Opens graphs of a bundle in one place. Thread-safe. */
@FunctionalInterface
public interface GraphLoader {
    /**
     * Opens a graph, which is then the caller's.
     *
     * @param change of the graph before it is opened; null: it is opened as it is
     * @throws io.github.asg4j.BadBundleException it cannot be loaded
     */
    OrtSession open(String file, @Nullable Consumer<OnnxGraph> change);
}
