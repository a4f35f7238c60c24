#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What fewer evaluations cost on the demo model: asg and relay as they are, with guidance in an interval, and asg with 25 steps of
# DPM++ 2M Karras beside it; 200 pictures a row at 2x. Hours on two cores; stopped or killed, the same command goes on where it was.
#   benchmarks/fewer-eval.sh FOLDER [PICTURES]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
[ $# -ge 1 ] && [ $# -le 2 ] || { sed -n '3,5p' "$0" >&2; exit 2; }
interval="--guidance-interval 0.28..5.42"
run() { "$here/asg" eval --out "$folder" --sizes "256x256:$pictures" "$@" > /dev/null; }
folder=$1 pictures=${2:-200}
run --methods relay --setting "interval: $interval"
run --methods asg --setting "interval: $interval" --setting "2m-25: --scheduler dpmpp_2m_karras --steps 25" \
    --setting "interval-2m-25: $interval --scheduler dpmpp_2m_karras --steps 25"
"$here/asg" eval --out "$folder" --measure-only
