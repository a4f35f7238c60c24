// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/** A device is missing, failed, or was lost with no other left to take over its work. */
public final class DeviceException extends AsgException {
    private static final long serialVersionUID = 1L;

    public DeviceException(String message) {
        this(message, null);
    }

    public DeviceException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
