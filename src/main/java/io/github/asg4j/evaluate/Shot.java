// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.evaluate;

import io.github.asg4j.GenerationRequest;

/**
 * A picture to be drawn.
 *
 * @param name of it in progress and numbers, as in "demofusion" or "asg noise 0.5 key"
 */
public record Shot(String name, GenerationRequest request) {}
