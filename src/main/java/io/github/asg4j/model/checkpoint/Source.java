// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

/**
 * Where a weight lies in a checkpoint, and what has to be done to it.
 *
 * @param tensor name of the tensor that holds it; empty for {@link Change#IDENTITY}
 * @param part which of the tensor's {@code parts} equal shares of rows it is, from 0
 * @param parts number of weights that the tensor holds one above the other, 1: it is the weight
 * @param change what turns the rows into the weight
 */
public record Source(String tensor, int part, int parts, Change change) {
    /** What turns stored rows into a weight. */
    public enum Change {
        /** Nothing: the weight is used where it lies. */
        NONE,
        /** Rows and columns change places. */
        TRANSPOSE,
        /** The second half of the rows comes first: shift and scale are stored the other way round. */
        SWAP_HALVES,
        /** Nothing is stored: the weight is the identity matrix. */
        IDENTITY
    }

    static Source of(String tensor) {
        return new Source(tensor, 0, 1, Change.NONE);
    }

    static Source changed(String tensor, Change change) {
        return new Source(tensor, 0, 1, change);
    }

    static Source share(String tensor, int part, int parts) {
        return new Source(tensor, part, parts, Change.NONE);
    }
}
