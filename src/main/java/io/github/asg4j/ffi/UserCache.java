// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.ffi;

import java.lang.System.Logger.Level;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.function.UnaryOperator;

/** Where this library keeps what it would else make or fetch again. */
public final class UserCache {
    private static final System.Logger LOG = System.getLogger(UserCache.class.getName());

    private UserCache() {}

    /** This user's: {@code asg4j} in {@code XDG_CACHE_HOME}, or in {@code ~/.cache}. */
    public static Path folder() {
        return folder(
                name -> System.getenv().getOrDefault(name, ""),
                Path.of(System.getProperty("user.home")));
    }

    static Path folder(UnaryOperator<String> environment, Path home) {
        Path base = home.resolve(".cache");
        try {
            Path named = Path.of(environment.apply("XDG_CACHE_HOME"));
            // Relative values are to be ignored (XDG Base Directory Specification).
            base = named.isAbsolute() ? named : base;
        } catch (InvalidPathException e) {
            LOG.log(Level.DEBUG, "XDG_CACHE_HOME is no path", e);
        }
        return base.resolve("asg4j");
    }
}
