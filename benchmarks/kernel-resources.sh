#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles the CUDA kernels for all architectures (no GPU needed) and puts the table of their registers into NOTES.md.
set -eu
cd "$(dirname "$0")/.."
mvn -q -B -ntp test -Dtest=KernelCompilationTest
awk '
    /^<!-- end of kernel resources -->/ { skip = 0 }
    !skip { print }
    /^<!-- kernel resources -->/ {
        skip = 1
        while ((getline line < "target/kernel-resources.md") > 0) print line
    }
' benchmarks/NOTES.md > target/NOTES.md
mv target/NOTES.md benchmarks/NOTES.md
