// SPDX-License-Identifier: Apache-2.0
/**
 * Pictures over HTTP: the APIs of OpenAI and AUTOMATIC1111, jobs of our own, and a page. A client of
 * {@link io.github.asg4j.Engine}. Needs Jetty, Micrometer and Jackson's databind, which the engine does
 * not bring along.
 */
@NullMarked
package io.github.asg4j.server;

import org.jspecify.annotations.NullMarked;
