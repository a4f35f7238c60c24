// SPDX-License-Identifier: Apache-2.0
/** What a picture starts from: the prompt's embeddings, and given pictures. */
@NullMarked
package io.github.asg4j.run.start;

import org.jspecify.annotations.NullMarked;
