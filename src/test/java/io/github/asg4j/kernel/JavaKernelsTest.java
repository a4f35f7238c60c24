// SPDX-License-Identifier: Apache-2.0
package io.github.asg4j.kernel;

class JavaKernelsTest extends KernelsContract {
    JavaKernelsTest() {
        super(new JavaKernels());
    }
}
