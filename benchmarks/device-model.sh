#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the model of D devices predicts, and what cpu:1 and cpu:2 measure: benchmarks/device-model.sh [RUNS [STEPS]]
# Two cores have to be idle, or the table says more about what else ran.
set -eu
cd "$(dirname "$0")/.."
. benchmarks/build.sh
exec "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -cp benchmarks/target/benchmarks.jar io.github.asg4j.benchmarks.DeviceModelReport "$@"
