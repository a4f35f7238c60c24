// SPDX-License-Identifier: Apache-2.0
/** What is told of a picture: files of a dump, reports to listeners. */
@NullMarked
package io.github.asg4j.run.report;

import org.jspecify.annotations.NullMarked;
