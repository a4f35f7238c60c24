#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What fewer evaluations cost on the demo model, with enough pictures to tell: 200 a row at 2x, 60 at 4x and at 2x1 and 3x2, 50 of the
# slowest methods, seeds that no default was chosen with. Hours on two cores; stopped or killed, the same command goes on where it was.
#   benchmarks/power-eval.sh FOLDER
# Then benchmarks/results/power-eval.json is FOLDER's eval.json, and power-eval.svg its pareto.svg: quality against evaluations.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
[ $# -eq 1 ] || { sed -n '3,6p' "$0" >&2; exit 2; }
folder=$1
run() { "$here/asg" eval --out "$folder" --seeds 4 --seed 5000 "$@" > /dev/null; }
interval="--guidance-interval 0.28..5.42" fast="--scheduler dpmpp_2m_karras --steps 25"

run --sizes 256x256:200 --methods asg,relay
run --model demo-turbo --sizes 256x256:200,512x512:60 --methods relay --no-default --setting "turbo: --steps 4"
run --sizes 256x256:200 --methods asg --no-default --setting "2m-25: $fast" --setting "interval-2m-25: $interval $fast" \
    --setting "interval: $interval"
run --sizes 256x256:200 --methods relay --no-default --setting "interval: $interval"
run --sizes 512x512:60 --methods relay,asg
run --sizes 256x256:200 --methods asg --no-default --setting "mask-key: --mask key" --setting "mask-own: --mask own"
run --sizes 256x256:200 --methods relay,asg --no-default --setting "cache-2: --cache-interval 2" --setting "cache-3: --cache-interval 3"
run --sizes 256x256:200 --methods superres,cutdiffusion,scalecrafter,direct
run --sizes 256x256:100 --methods relay --no-default --setting "frecas: --preset frecas" --setting "megafusion: --preset megafusion" \
    --setting "rectifiedhr: --preset rectifiedhr" --setting "diffusehigh: --preset diffusehigh" --setting "hires-fix: --preset hires-fix"
run --sizes 512x512:60 --methods superres,cutdiffusion
run --sizes 256x256:50 --methods demofusion,multidiffusion
run --sizes 512x512:60 --methods asg --no-default --setting "mask-key: --mask key" --setting "mask-own: --mask own"
run --sizes 256x128:60,384x256:60,296x232:60 --methods asg,relay
"$here/asg" eval --out "$folder" --measure-only
