// SPDX-License-Identifier: Apache-2.0
/** The border to native code: the only place with a {@link java.lang.foreign.Linker}. */
@NullMarked
package io.github.asg4j.ffi;

import org.jspecify.annotations.NullMarked;
