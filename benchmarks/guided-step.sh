#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A guided step of Stable Diffusion 1.5 at native size on the CPU, in this engine and its peers, one after the other and then again:
#   benchmarks/guided-step.sh MODEL.safetensors [PYTHON [ROUNDS]]
# PYTHON has torch and diffusers, and openvino for its row; without it the engine alone is measured. bf16 needs OpenVINO's plug-in (docs/precision.md).
# One line of JSON each: the smallest wall and processor time of a call. On a machine that does other work only processor times of one round compare.
set -eu
cd "$(dirname "$0")/.."
. benchmarks/build.sh
model=$1
python=${2:-}
engine() {
    "$jdk/bin/java" -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true \
        -cp "$(echo target/asg4j-*.jar):target/lib/*:benchmarks/target/classes" io.github.asg4j.benchmarks.GuidedStep "$model" "$@" ||
        echo "GuidedStep $*: failed" >&2
}
peer() {
    [ -z "$python" ] || (cd onnx-export && PYTHONPATH=".${PYTHONPATH:+:$PYTHONPATH}" "$python" tests/torch_step.py --family sd15 --device cpu --warmup 1 --steps 1 "$@") ||
        echo "torch_step.py $*: failed" >&2
}
round=0
while [ "$round" -lt "${3:-2}" ]; do
    round=$((round + 1))
    engine fp32 1 1 1
    engine bf16 1 1 2
    peer --threads 1 --dtype float32
    peer --threads 1 --dtype bfloat16
    peer --threads 1 --dtype float32 --openvino
    peer --threads 1 --dtype bfloat16 --openvino
    engine fp32 1 2 1
    engine fp32 2 1 1
    engine bf16 1 2 2
    engine bf16 2 1 2
done
