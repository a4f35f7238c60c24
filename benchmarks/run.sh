#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the engine and the benchmarks as they are now, then runs JMH with the arguments given:
#   benchmarks/run.sh                     everything
#   benchmarks/run.sh FfiCall -f 1        one class, one fork        benchmarks/run.sh -l   lists
set -eu
cd "$(dirname "$0")/.."
jdk=$(./asg --print-jdk)
export JAVA_HOME="$jdk"
export MAVEN_OPTS="${MAVEN_OPTS:-} --sun-misc-unsafe-memory-access=allow --enable-native-access=ALL-UNNAMED"
mvn -q -B -ntp -Dasg.launcher install
mvn -q -B -ntp -f benchmarks/pom.xml package
# JMH hands these options on to its forks.
exec "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
    -jar benchmarks/target/benchmarks.jar "$@"
