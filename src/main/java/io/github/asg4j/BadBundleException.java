// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/** The model bundle is damaged, incomplete, of a newer format, or yields non-finite numbers. */
public final class BadBundleException extends AsgException {
    private static final long serialVersionUID = 1L;

    public BadBundleException(String message) {
        this(message, null);
    }

    public BadBundleException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
