// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.springai;

import io.github.asg4j.PictureReport;

import org.springframework.ai.image.ImageGenerationMetadata;

/**
 * How a picture came about.
 *
 * @param report settings, with the seed, and measurements
 */
public record AsgImageMetadata(PictureReport report) implements ImageGenerationMetadata {}
