#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# On a machine with an NVIDIA GPU: every kernel against the float64 oracle and the bits of the Java kernels, first
# plainly, then, where compute-sanitizer is installed, under memcheck and racecheck. Not run on a GPU yet.
set -eu
cd "$(dirname "$0")/../.."
. benchmarks/gpu/setup.sh
build_tests
check() {
    on_gpu org.junit.platform.console.ConsoleLauncher execute --select-class io.github.asg4j.kernel.GpuKernelsTest \
        --fail-if-no-tests --disable-banner --disable-ansi-colors --details summary
}
check
echo "parity: all kernels agree"
command -v compute-sanitizer > /dev/null || { echo "compute-sanitizer is not installed: memory and races were not checked" >&2; exit 0; }
for tool in memcheck racecheck; do
    launcher="compute-sanitizer --tool $tool --error-exitcode 3"
    check
    echo "compute-sanitizer $tool: clean"
done
