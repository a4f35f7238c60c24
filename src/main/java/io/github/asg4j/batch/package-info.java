// SPDX-License-Identifier: Apache-2.0
/**
 * Many pictures from a file of prompts: rows in, pictures and a record of each out, resumed where it
 * was stopped.
 */
@NullMarked
package io.github.asg4j.batch;

import org.jspecify.annotations.NullMarked;
