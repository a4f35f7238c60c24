// SPDX-License-Identifier: Apache-2.0
/**
 * LoRA files of every common form, and what they make of a checkpoint's weights: read ({@link
 * io.github.asg4j.model.lora.LoraFile}), matched with the weights of a model ({@link
 * io.github.asg4j.model.lora.LoraTargets}) and added to them ({@link
 * io.github.asg4j.model.lora.LoraSet}).
 */
@NullMarked
package io.github.asg4j.model.lora;

import org.jspecify.annotations.NullMarked;
