// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/**
 * What can go wrong, typed by whose fault it is. Every message gives the value, the limit and the
 * fix.
 */
public abstract sealed class AsgException extends RuntimeException
        permits BadRequestException,
                BadBundleException,
                DeviceException,
                OutOfMemoryException,
                OutputException,
                CancelledException {
    private static final long serialVersionUID = 1L;

    AsgException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
