// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

import io.github.asg4j.BadRequestException;

/**
 * How much one client may ask for; 0: no limit.
 *
 * @param pixels of one picture
 * @param steps of one picture
 * @param pictures that wait or are drawn at the same time
 */
public record Limits(long pixels, int steps, int pictures) {
    public static final Limits NONE = new Limits(0, 0, 0);

    public Limits {
        if (pixels < 0 || steps < 0 || pictures < 0) {
            throw new BadRequestException(
                    "limits of "
                            + pixels
                            + " pixels, "
                            + steps
                            + " steps and "
                            + pictures
                            + " pictures: none of them can be negative; 0 is no limit");
        }
    }
}
