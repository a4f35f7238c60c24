#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What decoding in exact tiles costs beside the whole decode, on one thread: benchmarks/vae-tiles.sh BUNDLE|demo PIXELS ROUNDS TILE[:bf16]...
# A tile of 0 is the whole. Processor time as a ratio to the first of them, peak memory, largest difference from it and PSNR.
# bf16 needs OpenVINO's plug-in (docs/precision.md).
set -eu
cd "$(dirname "$0")/.."
. benchmarks/build.sh
exec "$jdk/bin/java" -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -cp "$(echo target/asg4j-*.jar):target/lib/*:benchmarks/target/classes" \
    io.github.asg4j.benchmarks.VaeTiles "$@"
