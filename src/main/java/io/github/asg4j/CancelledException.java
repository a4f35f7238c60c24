// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/** The generation was cancelled by its owner or by closing the engine. */
public final class CancelledException extends AsgException {
    private static final long serialVersionUID = 1L;

    public CancelledException(String message) {
        this(message, null);
    }

    public CancelledException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
