// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.planning;

/**
 * Bytes of a GPU's memory.
 *
 * @param total of the device
 * @param free when the networks that every request needs were loaded
 */
public record GpuMemory(long total, long free) {}
