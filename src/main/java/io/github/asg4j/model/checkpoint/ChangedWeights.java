// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;

/** Weights that take the place of a checkpoint's own. Thread-safe. */
public interface ChangedWeights {
    /** None: every weight is the checkpoint's. */
    ChangedWeights NONE = (part, weight) -> null;

    /**
     * A changed weight.
     *
     * @param weight its name in diffusers
     * @return all its elements, float32 in diffusers' order, valid as long as whoever gave this object
     *     says; null: the weight is as the checkpoint has it
     */
    @Nullable MemorySegment of(Part part, String weight);

    /** Whether the elements of a changed weight may be others in the next run of the same network. */
    default boolean inPlace(Part part, String weight) {
        return false;
    }
}
