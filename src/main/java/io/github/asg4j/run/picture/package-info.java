// SPDX-License-Identifier: Apache-2.0
/** The way from latents to pixels: decoding, whole or in tiles, and enlarging. */
@NullMarked
package io.github.asg4j.run.picture;

import org.jspecify.annotations.NullMarked;
