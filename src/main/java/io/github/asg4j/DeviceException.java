// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j;

import org.jspecify.annotations.Nullable;

/** A device is missing, failed, or was lost with no other left to take over its work. */
public final class DeviceException extends AsgException {
    private static final long serialVersionUID = 1L;

    private final boolean lost;

    public DeviceException(String message) {
        this(message, null);
    }

    public DeviceException(String message, @Nullable Throwable cause) {
        this(message, cause, false);
    }

    private DeviceException(String message, @Nullable Throwable cause, boolean lost) {
        super(message, cause);
        this.lost = lost;
    }

    /** Makes the exception for a device that no longer answers. */
    public static DeviceException lost(String message, @Nullable Throwable cause) {
        return new DeviceException(message, cause, true);
    }

    /**
     * Whether devices are lost to this process: a GPU's context does not survive a fault, and trying again
     * helps in a new process only, or on other devices. Else it was this request that failed.
     */
    public boolean lost() {
        return lost;
    }
}
