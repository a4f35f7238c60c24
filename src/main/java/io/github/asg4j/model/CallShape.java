// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.model;

/**
 * Extents of a call of the denoiser.
 *
 * @param rows B
 * @param height latent rows
 * @param width latent columns
 */
public record CallShape(int rows, int height, int width) {}
