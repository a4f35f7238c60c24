// SPDX-License-Identifier: Apache-2.0
@NullMarked
package io.github.asg4j.plan;

import org.jspecify.annotations.NullMarked;
