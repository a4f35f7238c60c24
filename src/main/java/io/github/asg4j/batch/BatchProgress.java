// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.batch;

/**
 * How far a batch is.
 *
 * @param done records, of this run and of those before
 * @param of records that there will be
 * @param errors records of pictures that could not be drawn
 * @param drawn pictures of this run
 * @param seconds of this run
 * @param drawingSeconds of them in which the engine drew; the rest devices waited
 * @param secondsLeft estimate; NaN: none yet
 */
public record BatchProgress(
        long done,
        long of,
        long errors,
        long drawn,
        double seconds,
        double drawingSeconds,
        double secondsLeft) {
    /** Pictures a second in this run; 0: none yet. */
    public double rate() {
        return drawn == 0 ? 0 : drawn / seconds;
    }
}
