#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What bf16 on the CPU changes on whole pictures: 200 of the demo at 2x by asg and by relay, in fp32 and in bf16, the same prompts, seeds and
# noise; differences picture by picture with their intervals (FOLDER/METHOD/index.html, eval.json). Needs the plug-in (docs/precision.md). Stopped or killed, the same command goes on where it was.
#   benchmarks/bf16-eval.sh FOLDER
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
[ $# -eq 1 ] || { sed -n '3,5p' "$0" >&2; exit 2; }
run() { "$here/asg" eval --out "$folder/$method" --seeds 4 --seed 5000 --sizes 256x256:200 --methods "$method" "$@" > /dev/null; }
folder=$1
for method in asg relay; do
    run --precision fp32
    run --precision bf16 --no-default --setting "bf16: --view-batch 1"
done
