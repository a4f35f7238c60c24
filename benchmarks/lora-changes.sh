#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Seconds and memory of an open engine that draws one step with another weight of a LoRA file each time: benchmarks/lora-changes.sh MODEL LORA [CHANGES [SIZE]]
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 2 ] && [ $# -le 4 ] || { sed -n '3p' "$0" >&2; exit 2; }
. benchmarks/build.sh
exec "$jdk/bin/java" -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -cp "$(echo target/asg4j-*.jar):target/lib/*:benchmarks/target/classes" \
    io.github.asg4j.benchmarks.LoraChanges "$1" "$2" "${3:-100}" "${4:-128x128}"
