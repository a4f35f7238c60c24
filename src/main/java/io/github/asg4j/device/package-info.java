// SPDX-License-Identifier: Apache-2.0

/** Memory and devices that tensors live on. */
@NullMarked
package io.github.asg4j.device;

import org.jspecify.annotations.NullMarked;
