#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the model of D devices predicts, and what cpu:1 and cpu:2 measure: benchmarks/device-model.sh [RUNS [STEPS]]
# Two cores have to be idle, or the table says more about what else ran.
set -eu
cd "$(dirname "$0")/.."
jdk=$(./asg --print-jdk)
export JAVA_HOME="$jdk"
export MAVEN_OPTS="${MAVEN_OPTS:-} --sun-misc-unsafe-memory-access=allow --enable-native-access=ALL-UNNAMED"
mvn -q -B -ntp -Dasg.launcher install
mvn -q -B -ntp -f benchmarks/pom.xml package
exec "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -cp benchmarks/target/benchmarks.jar io.github.asg4j.benchmarks.DeviceModelReport "$@"
