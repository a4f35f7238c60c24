#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# asg serve with the tiny bundle of the tests under load, then under faults:
#   benchmarks/service-load.sh [CLIENTS [MINUTES]]
# One client at a time first (time of a request, and what of it is not the picture), then CLIENTS for MINUTES (requests lost, answered twice or with
# another picture, resident memory), then clients that leave, kill -9 at work and a log on a full disk. Fails where something is not as it should be.
set -eu
cd "$(dirname "$0")/.."
. benchmarks/build.sh
"$jdk/bin/java" -Xmx512m -cp benchmarks/target/benchmarks.jar io.github.asg4j.benchmarks.ServiceLoad src/test/resources/tiny "${1:-200}" "${2:-30}"
