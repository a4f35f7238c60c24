// SPDX-License-Identifier: Apache-2.0
/** What the engine computes between two calls of a network: one interface, several machines. */
@NullMarked
package io.github.asg4j.kernel;

import org.jspecify.annotations.NullMarked;
