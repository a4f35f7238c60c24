// SPDX-License-Identifier: Apache-2.0
/** The denoising stages at work: one class per kind of stage, each to be held against its paper, over the calls of the denoiser and their conditioning. */
@NullMarked
package io.github.asg4j.run.denoise;

import org.jspecify.annotations.NullMarked;
