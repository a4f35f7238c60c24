#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Peak memory of the first run, and of three, of a VAE's decoder, front or tail, or of an upscaler on the CPU: benchmarks/network-memory.sh FILE HEIGHT WIDTH FACTOR
# HEIGHT and WIDTH in cells of the graph's input, FACTOR from them to its output (8, 4 and 2 for SDXL's three graphs, an upscaler's scale).
set -eu
cd "$(dirname "$0")/.."
. benchmarks/build.sh
exec "$jdk/bin/java" -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -cp "$(echo target/asg4j-*.jar):target/lib/*:benchmarks/target/classes" \
    io.github.asg4j.benchmarks.NetworkMemory "$@"
