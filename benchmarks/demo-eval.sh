#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The evaluation of all methods on the demo model, as in the README: 50 pictures a row at 2x, 10 at 4x (4 of the two methods
# that take longest). An hour or two on two cores; stopped or killed, the same command goes on where it was.
#   benchmarks/demo-eval.sh FOLDER       then benchmarks/results/demo-eval.json is FOLDER's eval.json
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
[ $# -eq 1 ] || { sed -n '3,5p' "$0" >&2; exit 2; }
run() { "$here/asg" eval --out "$folder" "$@" > /dev/null; }
folder=$1
two=256x256:50 four=512x512:10

# Every method with its defaults, which tell windows their place (multidiffusion: that they are the whole picture).
run --sizes "$two,$four" --methods asg,cutdiffusion,direct,scalecrafter,superres
run --sizes "$two,512x512:4" --methods demofusion,multidiffusion

# The other way to tell them.
run --sizes "$two,$four" --methods asg,cutdiffusion --no-default --setting "whole: --window-conditioning whole"
run --sizes "$two,512x512:4" --methods demofusion --no-default --setting "whole: --window-conditioning whole"
run --sizes "$two,512x512:4" --methods multidiffusion --no-default --setting "crop: --window-conditioning crop"

# What ASGDiffusion is made of. Its defaults: staleness 1, interaction every, guide space latent, upsampled, mask none,
# share 0.65, background windows. "paper" is as published, "plain" without what upsampling and background windows mend.
run --sizes "$two,$four" --methods asg --no-default \
    --setting "paper: --paper-defaults" \
    --setting "plain: --guide-upsampling nearest --mask key --object-share 0" \
    --setting "nearest: --guide-upsampling nearest" --setting "background-off: --object-share 0" \
    --setting "staleness-0: --staleness 0" --setting "interaction-off: --interaction off" \
    --setting "noise: --guide-space noise" --setting "share-0.5: --stage1-share 0.5" \
    --setting "mask-key: --mask key" --setting "mask-own: --mask own"

# CutDiffusion with ASGDiffusion's share and windows: what is left is the guidance.
stage2="--stage1-share 0.65 --window-weight feather --object-share 0.02 --background-guidance-scale 1.5"
run --sizes "$two,$four" --methods cutdiffusion --no-default \
    --setting "asg-stage-2: $stage2" --setting "asg-stage-2-whole: $stage2 --window-conditioning whole"

"$here/asg" eval --out "$folder" --sizes "$two" --methods asg
