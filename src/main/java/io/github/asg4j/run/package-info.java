// SPDX-License-Identifier: Apache-2.0
/** Requests at work: an engine on this machine, the retry around a picture, and the picture itself. */
@NullMarked
package io.github.asg4j.run;

import org.jspecify.annotations.NullMarked;
