// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run.denoise;

/**
 * What stages keep beyond what the picture needs.
 *
 * @param history latents, guides and masks of all steps
 * @param previews predicted clean latents on request
 * @param patches predicted clean latents of stage 1's last step
 * @param attention attention maps and masks of all steps of stage 1
 */
public record Keep(boolean history, boolean previews, boolean patches, boolean attention) {}
