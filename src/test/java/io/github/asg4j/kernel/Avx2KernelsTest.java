// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

class Avx2KernelsTest extends KernelsContract {
    Avx2KernelsTest() {
        super(Implementations.require("avx2"));
    }
}
