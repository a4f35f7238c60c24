// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

class Avx512KernelsTest extends KernelsContract {
    Avx512KernelsTest() {
        super(Implementations.require("avx512"));
    }
}
