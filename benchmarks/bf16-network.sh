#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The VAE's decoder or encoder, or the first text encoder, of a model (or of the demo, by the word demo) in fp32 and bf16 on the CPU, run in turn by one thread:
#   benchmarks/bf16-network.sh MODEL decoder|encoder|text HEIGHT WIDTH RUNS [fp32|bf16]
# HEIGHT and WIDTH in latent cells. Processor times compare within one run; with a precision alone it tells the memory too. Needs OpenVINO's plug-in (docs/precision.md).
set -eu
cd "$(dirname "$0")/.."
. benchmarks/build.sh
exec "$jdk/bin/java" -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -cp "$(echo target/asg4j-*.jar):target/lib/*:benchmarks/target/classes" \
    io.github.asg4j.benchmarks.Bf16Network "$@"
