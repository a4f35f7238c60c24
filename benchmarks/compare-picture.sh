#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Takes the picture of README.md: the top of the page that ./asg compare makes, as a browser shows it.
# Needs chromium (or BROWSER=the path of another of its kind).
#   benchmarks/compare-picture.sh [FILE.png] [HEIGHT] [options of ./asg compare]
#   benchmarks/compare-picture.sh benchmarks/results/compare.png 1330
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
picture=${1:-$here/benchmarks/results/compare.png}
height=${2:-1330}
[ $# -lt 2 ] || shift 2
. "$here/benchmarks/browser.sh"
# The first prompt of the demo's fixed list, with the seed that goes with it.
prompt=$(head -n 1 "$here/onnx-export/asg4j_demo/prompts.txt")
"$here/asg" compare --prompt "$prompt" --seed 0 --figures none "$@" --out "$folder/page.html"
screenshot "$picture" 1280 "$height" 0.6
