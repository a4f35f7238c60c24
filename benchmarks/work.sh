#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What methods and presets take of a model beyond its native size, by `asg plan`: a table for each size. Draws nothing; about a minute a row,
# as the model is opened for each.
#   benchmarks/work.sh MODEL NATIVE SIZE...    as in: benchmarks/work.sh sdxl.safetensors 1024x1024 2048x2048 4096x4096
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
[ $# -ge 3 ] || { sed -n '3,5p' "$0" >&2; exit 2; }
model=$1 native=$2
shift 2
plan() { "$here/asg" plan --model "$model" --weights mapped --max-memory 1T "$@"; }

# A guided evaluation of native size, two rows: what the others are divided by.
unit=$(plan --method direct --steps 1 --size "$native" | awk '/^tflop/ { found = 1 } found && $1 == "denoiser" { print $2 }')

row() {
    size=$1
    shift
    plan --size "$size" --method "$@" | awk -v of="$*" -v unit="$unit" '
        /^guided evaluations/ { evaluations = $3 }
        /^shallow evaluations/ { shallow = " + " $3 " shallow" }
        /^native evaluations/ { cells = $3 }
        /^unet rows/ { rows = $3 }
        /^[^ ]/ { section = $1 }
        section == "tflop:" && $1 == "denoiser" { work = $2 }
        section == "tflop:" && $1 == "vae" && $2 != "on" { vae = $2 }
        section == "tflop:" && $1 == "vae" && $2 == "on" { gpus = $4 }
        END { printf "| `%s` | %d%s | %d | %.0f | %.0f | %.0f | %.0f | %.0f |\n", of, evaluations, shallow, rows, cells, work / unit, work, vae, gpus }'
}

for size; do
    echo
    echo "| $size | evaluations | rows | native ones by cells | by TFLOP | TFLOP | of the VAE | on GPUs |"
    echo "|---|---|---|---|---|---|---|---|"
    for method in direct scalecrafter multidiffusion demofusion cutdiffusion asg relay; do
        row "$size" $method
    done
    row "$size" relay --guidance-interval 0.28..5.42
    row "$size" relay --cache-interval 2
    for preset in rectifiedhr frecas diffusehigh megafusion hires-fix; do
        row "$size" relay --preset $preset
        row "$size" relay --preset $preset --stage-views windows
    done
done
