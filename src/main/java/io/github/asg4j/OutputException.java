// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/** A result could not be written. */
public final class OutputException extends AsgException {
    private static final long serialVersionUID = 1L;

    public OutputException(String message) {
        this(message, null);
    }

    public OutputException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
