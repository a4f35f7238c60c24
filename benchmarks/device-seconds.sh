#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Seconds of a model's pictures on 1, 2, 4 and 8 devices by the model of devices (device-model.sh), from the milliseconds that a guided evaluation of native
# size takes on one: benchmarks/device-seconds.sh MODEL MILLISECONDS...     as in: benchmarks/device-seconds.sh sdxl.safetensors 27 46
# Nothing is drawn and no network loaded.
set -eu
[ $# -ge 2 ] || { sed -n '3,5p' "$0" >&2; exit 2; }
model=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
. benchmarks/build.sh
exec "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -cp benchmarks/target/benchmarks.jar io.github.asg4j.benchmarks.DevicePredictions "$model" "$@"
