// SPDX-License-Identifier: Apache-2.0
/** Spring AI's image model, drawn by the engine in this process. */
@NullMarked
package io.github.asg4j.springai;

import org.jspecify.annotations.NullMarked;
