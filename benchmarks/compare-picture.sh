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
browser=${BROWSER:-}
for name in chromium chromium-browser google-chrome; do
    [ -n "$browser" ] || browser=$(command -v "$name" || true)
done
[ -n "$browser" ] || { echo "compare-picture: no chromium on PATH: install it or set BROWSER" >&2; exit 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
# The first prompt of the demo's fixed list, with the seed that goes with it.
prompt=$(head -n 1 "$here/onnx-export/asg4j_demo/prompts.txt")
"$here/asg" compare --prompt "$prompt" --seed 0 --figures none "$@" --out "$folder/page.html"
# No sandbox, because containers seldom allow one: the page is ours and fetches nothing.
"$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=0.6 \
    --user-data-dir="$folder/profile" --window-size="1280,$height" --virtual-time-budget=5000 \
    --screenshot="$folder/page.png" "file://$folder/page.html" 2> "$folder/log" ||
    { cat "$folder/log" >&2; exit 1; }
[ -s "$folder/page.png" ] || { cat "$folder/log" >&2; exit 1; }
mv "$folder/page.png" "$picture"
echo "$picture"
