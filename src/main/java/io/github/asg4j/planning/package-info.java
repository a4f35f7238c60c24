// SPDX-License-Identifier: Apache-2.0
/** Turns a request into a plan for one bundle, before any work; no native code. */
@NullMarked
package io.github.asg4j.planning;

import org.jspecify.annotations.NullMarked;
