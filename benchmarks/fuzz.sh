#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Jazzer, which looks for input that reaches new code, over everything that reads what strangers send:
#   benchmarks/fuzz.sh [SECONDS [TARGET...]]
# SECONDS for each target of FuzzTarget (default: 600 for all: request_json, json_of_requests, json_bodies, multipart, picture_texts, start_pictures).
# Its hook on connections is off: the targets that go through a server ask it themselves. What it has learnt stays in target/fuzz and is gone on with. Input that is neither read nor refused ends it with 77; add it to FuzzTest.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-600}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- request_json json_of_requests json_bodies multipart picture_texts start_pictures
jdk=$(./asg --print-jdk)
export JAVA_HOME="$jdk"
mvn -q -B -ntp test-compile dependency:build-classpath -Dmdep.outputFile=target/fuzz/classpath -Dmdep.includeScope=test
for artifact in jazzer jazzer-api; do
    mvn -q -B -ntp dependency:copy -Dartifact=com.code-intelligence:$artifact:0.30.0 -DoutputDirectory=target/fuzz/jazzer
done
classpath=target/test-classes:target/classes:$(cat target/fuzz/classpath):target/fuzz/jazzer/jazzer-0.30.0.jar:target/fuzz/jazzer/jazzer-api-0.30.0.jar
"$jdk/bin/java" -cp "$classpath" io.github.asg4j.server.FuzzTarget target/fuzz/corpus
for target in "$@"; do
    echo "== $target"
    "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Djava.awt.headless=true -Dorg.bytedeco.javacpp.nopointergc=true \
        "-Dasg.fuzz.target=$target" -cp "$classpath" com.code_intelligence.jazzer.Jazzer \
        "--target_class=io.github.asg4j.server.FuzzTarget\$Jazzer" "--instrumentation_includes=io.github.asg4j.**:com.fasterxml.jackson.**:org.eclipse.jetty.http.**" \
        --disabled_hooks=com.code_intelligence.jazzer.sanitizers.ServerSideRequestForgery -max_total_time="$seconds" -artifact_prefix=target/fuzz/ --reproducer_path=target/fuzz "target/fuzz/corpus/$target" 2> "target/fuzz/$target.log" || { code=$?; tail -30 "target/fuzz/$target.log"; exit $code; }
    tail -2 "target/fuzz/$target.log"
done
