// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

class ScalarKernelsTest extends KernelsContract {
    ScalarKernelsTest() {
        super(Implementations.require("scalar"));
    }
}
