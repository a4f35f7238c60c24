// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.run;

import io.github.asg4j.device.Queue;
import io.github.asg4j.kernel.Kernels;

import java.util.concurrent.ExecutorService;

/**
 * What one worker of an engine works with, request after request.
 *
 * @param name in reports and messages
 * @param queue the worker's work; its thread's alone
 * @param side another queue to the same memory, for the thread that a request is drawn by
 * @param kernels on {@code queue}
 * @param memoryLimit bytes of the device that a request may take
 * @param thread executes the worker's part of a request
 */
public record Lane(
        String name,
        Queue queue,
        Queue side,
        Kernels kernels,
        long memoryLimit,
        ExecutorService thread) {}
