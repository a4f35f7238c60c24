// SPDX-License-Identifier: Apache-2.0
/** Methods held against each other: on a page to look at, and in numbers. */
@NullMarked
package io.github.asg4j.evaluate;

import org.jspecify.annotations.NullMarked;
