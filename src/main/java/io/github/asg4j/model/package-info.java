// SPDX-License-Identifier: Apache-2.0
/** Model bundles: manifest, files, tokenizer, and typed views over the sessions of their graphs. */
@NullMarked
package io.github.asg4j.model;

import org.jspecify.annotations.NullMarked;
