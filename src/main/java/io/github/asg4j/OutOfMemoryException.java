// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/** The work does not fit into the memory of the device or of the process. */
public final class OutOfMemoryException extends AsgException {
    private static final long serialVersionUID = 1L;

    public OutOfMemoryException(String message) {
        this(message, null);
    }

    public OutOfMemoryException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
