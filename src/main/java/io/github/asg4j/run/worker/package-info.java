// SPDX-License-Identifier: Apache-2.0
/** One device's part in a request: its thread, memory, queue, clock, and the tensors that workers share. */
@NullMarked
package io.github.asg4j.run.worker;

import org.jspecify.annotations.NullMarked;
