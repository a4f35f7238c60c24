// SPDX-License-Identifier: Apache-2.0
/**
 * Reading of the files that people have: safetensors files in the layouts of their publishers. Finds
 * out what model a file holds and where each weight of a network lies in it; copies nothing.
 */
@NullMarked
package io.github.asg4j.model.checkpoint;

import org.jspecify.annotations.NullMarked;
