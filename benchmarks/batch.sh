#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# asg batch beside one engine in a loop and beside a shell loop of asg generate, the demo model:
#   benchmarks/batch.sh [PICTURES [STEPS [ROUNDS [DEVICES]]]]
# Each round draws the same prompts in the three ways, one after the other, so that a busy machine slows all of them; compare the ratios of a row.
# "idle" is the share of the time, after the engine was opened, in which no picture was drawn.
set -eu
cd "$(dirname "$0")/.."
pictures=${1:-12} steps=${2:-10} rounds=${3:-3} devices=${4:-cpu:1}
. benchmarks/build.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
i=0
while [ "$i" -lt "$pictures" ]; do
    echo "a red ball on grass, number $i" >> "$work/prompts.txt"
    i=$((i + 1))
done

now() {
    date +%s.%N
}

value() {
    sed -n "\$s/.*\"$1\":\\([0-9.]*\\).*/\\1/p" "$2"
}

echo "| round | shell loop, s | engine in a loop, s | batch, s | batch's pictures a second / shell loop's | / loop's | idle, loop | idle, batch |"
echo "|---|---|---|---|---|---|---|---|"
round=1
while [ "$round" -le "$rounds" ]; do
    start=$(now)
    while IFS= read -r prompt; do
        ./asg generate --prompt "$prompt" --seed 0 --steps "$steps" --devices "$devices" --out "$work/one.png" --quiet > /dev/null 2> "$work/err"
    done < "$work/prompts.txt"
    shell=$(now)
    "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true -XX:+UseSerialGC -cp benchmarks/target/benchmarks.jar \
        io.github.asg4j.benchmarks.EngineLoop "$work/prompts.txt" "$work/loop$round" "$steps" "$devices" > "$work/loop.json" 2> "$work/err"
    loop=$(now)
    ./asg batch --in "$work/prompts.txt" --out "$work/batch$round" --seed 0 --steps "$steps" --devices "$devices" --json > "$work/batch.json" 2> "$work/err"
    batch=$(now)
    echo "$round $start $shell $loop $batch $(value seconds "$work/loop.json") $(value drawing_seconds "$work/loop.json")" \
        "$(value seconds "$work/batch.json") $(value drawing_seconds "$work/batch.json")" |
        awk '{ a = $3 - $2; b = $4 - $3; c = $5 - $4
               printf "| %d | %.1f | %.1f | %.1f | %.2f | %.2f | %.2f %% | %.2f %% |\n", $1, a, b, c, a / c, b / c, 100 * (1 - $7 / $6), 100 * (1 - $9 / $8) }'
    round=$((round + 1))
done
