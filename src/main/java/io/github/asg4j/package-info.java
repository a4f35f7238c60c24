// SPDX-License-Identifier: Apache-2.0
/** An engine for training-free high-resolution text-to-image diffusion on the JVM. */
@NullMarked
package io.github.asg4j;

import org.jspecify.annotations.NullMarked;
