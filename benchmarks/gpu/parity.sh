#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# On a machine with an NVIDIA GPU: every kernel against the float64 oracle and the bits of the Java kernels, first
# plainly, then, where compute-sanitizer is installed, under memcheck and racecheck. Not run on a GPU yet.
set -eu
cd "$(dirname "$0")/../.."
[ -e /dev/nvidiactl ] || { echo "parity.sh: this machine has no NVIDIA GPU" >&2; exit 1; }
mvn -q -B -ntp test -Dtest=GpuKernelsTest
echo "parity: all kernels agree"
if command -v compute-sanitizer > /dev/null; then
    for tool in memcheck racecheck; do
        compute-sanitizer --tool "$tool" --target-processes all --error-exitcode 3 \
            mvn -q -B -ntp test -Dtest=GpuKernelsTest
        echo "compute-sanitizer $tool: clean"
    done
else
    echo "compute-sanitizer is not installed: memory and races were not checked" >&2
fi
