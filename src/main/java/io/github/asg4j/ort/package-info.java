// SPDX-License-Identifier: Apache-2.0

/**
 * ONNX Runtime: sessions, and bindings of off-heap memory to them. The only package that knows
 * JavaCPP; every native object has one owner that closes it, nothing waits for the garbage
 * collector.
 */
@NullMarked
package io.github.asg4j.ort;

import org.jspecify.annotations.NullMarked;
