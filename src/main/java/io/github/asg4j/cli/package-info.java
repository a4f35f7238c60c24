// SPDX-License-Identifier: Apache-2.0
/** The command line: builds a request, prints events, nothing else. */
@NullMarked
package io.github.asg4j.cli;

import org.jspecify.annotations.NullMarked;
