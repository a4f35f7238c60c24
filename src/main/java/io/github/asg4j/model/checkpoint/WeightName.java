// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model.checkpoint;

/**
 * A weight of a model.
 *
 * @param weight its name in diffusers
 */
public record WeightName(Part part, String weight) {}
