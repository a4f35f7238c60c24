#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Draws the fixed list of 64 prompts with the demo model, prompt i with seed i, into FOLDER as NN.png and NN.json, then
# counts the objects (needs the Python package of onnx-export). A picture that is there already is not drawn again.
#   benchmarks/demo-gate.sh FOLDER [options of ./asg generate]
#   benchmarks/demo-gate.sh /tmp/asg-2x --method asg --size 256x256
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
[ $# -ge 1 ] || { sed -n '3,6p' "$0" >&2; exit 2; }
folder=$1
shift
mkdir -p "$folder"
i=0
while IFS= read -r prompt; do
    name=$(printf '%02d' "$i")
    if [ ! -f "$folder/$name.png" ]; then
        "$here/asg" generate --quiet --json --prompt "$prompt" --seed "$i" "$@" --out "$folder/$name.png" > "$folder/$name.json"
    fi
    i=$((i + 1))
done < "$here/onnx-export/asg4j_demo/prompts.txt"
cd "$here/onnx-export"
${PYTHON:-python3} -m asg4j_demo gate "$folder"
