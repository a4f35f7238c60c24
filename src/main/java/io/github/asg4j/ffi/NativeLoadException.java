// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import org.jspecify.annotations.Nullable;

import java.io.Serial;

/** A native library cannot be used; the message says what was tried and how to mend it. */
public final class NativeLoadException extends Exception {
    @Serial private static final long serialVersionUID = 1L;

    NativeLoadException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
