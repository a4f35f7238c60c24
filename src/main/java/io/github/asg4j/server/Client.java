// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.server;

/**
 * Who asks: the owner of an API key, or an address where no keys are asked for.
 *
 * @param name unique among clients
 */
record Client(String name, Limits limits) {}
