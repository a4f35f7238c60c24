// SPDX-License-Identifier: Apache-2.0
/** Noise schedules as tables of per-step coefficients. */
@NullMarked
package io.github.asg4j.schedule;

import org.jspecify.annotations.NullMarked;
