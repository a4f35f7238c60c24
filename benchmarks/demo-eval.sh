#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The evaluation of all methods on the demo model, as in the README: 50 pictures a row at 2x, 10 at 4x (4 of the two methods
# that take longest). Hours on two cores; stopped or killed, the same command goes on where it was.
#   benchmarks/demo-eval.sh FOLDER       then benchmarks/results/demo-eval.json is FOLDER's eval.json
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
[ $# -eq 1 ] || { sed -n '3,5p' "$0" >&2; exit 2; }
run() { "$here/asg" eval --out "$folder" "$@" > /dev/null; }
folder=$1
two=256x256:50 four=512x512:10

# Every method with its defaults, and with windows that are told their place, or that they are the whole picture.
run --sizes "$two,$four" --methods asg,cutdiffusion,direct,scalecrafter,superres
run --sizes "$two,512x512:4" --methods demofusion,multidiffusion
run --sizes "$two" --methods asg,cutdiffusion,demofusion,multidiffusion --no-default \
    --setting "crop: --window-conditioning crop" --setting "whole: --window-conditioning whole"
run --sizes "$four" --methods asg,cutdiffusion --no-default \
    --setting "crop: --window-conditioning crop" --setting "whole: --window-conditioning whole"

# What ASGDiffusion is made of.
run --sizes "$two,$four" --methods asg --no-default \
    --setting "paper: --paper-defaults" \
    --setting "staleness-0: --staleness 0" --setting "staleness-1: --staleness 1" \
    --setting "interaction-off: --interaction off" --setting "interaction-every: --interaction every" \
    --setting "noise: --guide-space noise" --setting "latent: --guide-space latent" \
    --setting "mask-key: --mask key" --setting "mask-own: --mask own" --setting "mask-none: --mask none"
"$here/asg" eval --out "$folder" --sizes "$two" --methods asg
