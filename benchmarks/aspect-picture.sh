#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Takes the picture of docs/evaluation.md: one prompt by all methods at 3:2, 16:9 and 9:16, beside the square.
# Needs chromium (or BROWSER=the path of another of its kind).
#   benchmarks/aspect-picture.sh [FILE.png] [PROMPT] [SEED]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
picture=${1:-$here/benchmarks/results/aspect.png}
prompt=${2:-a red ball on grass}
seed=${3:-11}
. "$here/benchmarks/browser.sh"
methods="asg relay cutdiffusion demofusion multidiffusion direct scalecrafter superres"
sizes="256x256 312x208 384x216 216x384"
echo "$prompt" > "$folder/prompts.txt"
"$here/asg" eval --out "$folder/eval" --prompts "$folder/prompts.txt" --seed "$seed" \
    --methods "$(echo $methods | tr ' ' ,)" --sizes "$(echo $sizes | tr ' ' ,)" > /dev/null
{
    echo '<meta charset="utf-8"><style>body{margin:8px;font:15px sans-serif}td{text-align:center;padding:3px}img{height:172px;display:block}</style><table><tr><td>'
    for method in $methods; do echo "<td>$method"; done
    for size in $sizes; do
        echo "<tr><td>$size"
        for method in $methods; do
            for file in "$folder/eval/${method}_${size}_default"/*.png; do echo "<td><img src=\"file://$file\">"; done
        done
    done
    echo '</table>'
} > "$folder/page.html"
screenshot "$picture" 2560 790 0.7
