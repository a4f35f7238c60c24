// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.cli;

import io.github.asg4j.AsgException;
import io.github.asg4j.BadBundleException;
import io.github.asg4j.BadRequestException;
import io.github.asg4j.CancelledException;
import io.github.asg4j.DeviceException;
import io.github.asg4j.OutOfMemoryException;
import io.github.asg4j.OutputException;

/** What the process tells its caller; scripts rely on the numbers. */
final class ExitCode {
    static final int DONE = 0;

    /** A bug of ours: whatever is no {@link AsgException}. */
    static final int BUG = 1;

    static final int ARGUMENTS = 2;
    static final int BUNDLE = 3;
    static final int DEVICE = 4;
    static final int OUTPUT = 5;

    /** A batch has been gone through, and some of its pictures could not be drawn. */
    static final int PICTURES = 6;

    /** The code with which shells report a process that Ctrl-C ended. */
    static final int CANCELLED = 130;

    private ExitCode() {}

    static int of(Throwable failure) {
        return switch (failure) {
            case AsgException expected -> of(expected);
            case OutOfMemoryError heap -> DEVICE;
            default -> BUG;
        };
    }

    private static int of(AsgException failure) {
        return switch (failure) {
            case BadRequestException e -> ARGUMENTS;
            case BadBundleException e -> BUNDLE;
            case DeviceException e -> DEVICE;
            case OutOfMemoryException e -> DEVICE;
            case OutputException e -> OUTPUT;
            case CancelledException e -> CANCELLED;
        };
    }
}
