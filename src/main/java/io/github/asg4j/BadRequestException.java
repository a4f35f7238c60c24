// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/** The request cannot be carried out as it stands: an argument is out of range or unknown. */
public final class BadRequestException extends AsgException {
    private static final long serialVersionUID = 1L;

    public BadRequestException(String message) {
        this(message, null);
    }

    public BadRequestException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
