// SPDX-License-Identifier: Apache-2.0
/** Files that go in and out: pictures with their settings, tensors as .npy. */
@NullMarked
package io.github.asg4j.image;

import org.jspecify.annotations.NullMarked;
