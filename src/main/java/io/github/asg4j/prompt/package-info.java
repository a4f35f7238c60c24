// SPDX-License-Identifier: Apache-2.0
/** The syntax of prompts, and the chunks of tokens that they become. */
@NullMarked
package io.github.asg4j.prompt;

import org.jspecify.annotations.NullMarked;
