#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Are objects stretched where the picture is not square? All methods on the demo model at 3:2, 2:3, 2:1, 1:2, 16:9, 9:16 and
# 21:9, about as large as 256 x 256, which they are held against: 60 pictures a row, fewer of the slow methods. The columns
# "aspect" and "to square" of the table that it prints. Stopped or killed, the same command goes on where it was.
#   benchmarks/aspect-eval.sh FOLDER
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
[ $# -eq 1 ] || { sed -n '3,6p' "$0" >&2; exit 2; }
folder=$1

# n METHODS: the first n pictures of each size.
draw() {
    sizes=
    for size in 256x256 312x208 208x312 368x184 184x368 384x216 216x384 392x168; do
        sizes=$sizes,$size:$1
    done
    "$here/asg" eval --out "$folder" --steps 10 --sizes "${sizes#,}" --methods "$2" > /dev/null
}
draw 60 asg,relay,cutdiffusion,superres
draw 20 direct,scalecrafter
draw 10 demofusion
draw 6 multidiffusion
"$here/asg" eval --out "$folder" --measure-only
