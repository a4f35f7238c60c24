#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the engine and the benchmarks as they are now, then measures:
#   benchmarks/run.sh                     all kernels, a patch step, pictures; the tables of NOTES.md (some ten minutes)
#   benchmarks/run.sh FfiCall -f 1        JMH with these arguments: one class, one fork       benchmarks/run.sh -l   lists
set -eu
cd "$(dirname "$0")/.."
. benchmarks/build.sh
if [ "$#" -eq 0 ]; then
    set -- io.github.asg4j.benchmarks.Report benchmarks/NOTES.md
else
    set -- org.openjdk.jmh.Main "$@"
fi
# JMH hands these options on to its forks.
exec "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -cp benchmarks/target/benchmarks.jar "$@"
