#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# asg batch beside one engine in a loop and beside a shell loop of asg generate, the demo model:
#   benchmarks/batch.sh [PICTURES [STEPS [ROUNDS [DEVICES [SIZE [PICTURES OF THE SHELL LOOP]]]]]]
# Each round draws the same prompts in the three ways, one after the other, so that a busy machine slows all of them; compare the ratios of a row.
# "idle" is the share of the time, after the engine was opened, in which no picture was drawn. "RSS" is that of batch's process when a twentieth, a half
# and all but a twentieth of its pictures are drawn.
set -eu
cd "$(dirname "$0")/.."
pictures=${1:-12} steps=${2:-10} rounds=${3:-3} devices=${4:-cpu:1} size=${5:-256x256}
shell_pictures=${6:-$pictures}
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

# rss PROCESS SHARE: MiB of its memory once so many hundredths of the pictures have a record
rss() {
    while kill -0 "$1" 2> /dev/null && [ "$(wc -l 2> /dev/null < "$work/batch$round/records.jsonl" || echo 0)" -lt $((pictures * $2 / 100)) ]; do
        sleep 0.2
    done
    awk '/VmRSS/ { printf "%d ", $2 / 1024 }' "/proc/$1/status" 2> /dev/null >> "$work/rss" || true
}

echo "| round | shell loop, pictures/s | engine in a loop | batch | batch / shell loop | batch / loop | idle, loop | idle, batch | RSS of batch, MiB |"
echo "|---|---|---|---|---|---|---|---|---|"
round=1
while [ "$round" -le "$rounds" ]; do
    start=$(now)
    head -n "$shell_pictures" "$work/prompts.txt" | while IFS= read -r prompt; do
        ./asg generate --prompt "$prompt" --seed 0 --steps "$steps" --size "$size" --devices "$devices" --out "$work/one.png" --quiet > /dev/null 2> "$work/err" < /dev/null
    done
    shell=$(now)
    "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true -XX:+UseSerialGC -cp benchmarks/target/benchmarks.jar \
        io.github.asg4j.benchmarks.EngineLoop "$work/prompts.txt" "$work/loop$round" "$steps" "$devices" "$size" > "$work/loop.json" 2> "$work/err"
    loop=$(now)
    : > "$work/rss"
    ./asg batch --in "$work/prompts.txt" --out "$work/batch$round" --seed 0 --steps "$steps" --size "$size" --devices "$devices" --json > "$work/batch.json" 2> "$work/err" &
    process=$!
    for share in 5 50 95; do
        rss $process $share
    done
    wait $process
    batch=$(now)
    echo "$round $start $shell $loop $batch $(value seconds "$work/loop.json") $(value drawing_seconds "$work/loop.json")" \
        "$(value seconds "$work/batch.json") $(value drawing_seconds "$work/batch.json") $(cat "$work/rss")" |
        awk -v n="$pictures" -v m="$shell_pictures" '{ a = m / ($3 - $2); b = n / ($4 - $3); c = n / ($5 - $4)
               printf "| %d | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f %% | %.2f %% | %s, %s, %s |\n",
                   $1, a, b, c, c / a, c / b, 100 * (1 - $7 / $6), 100 * (1 - $9 / $8), $10, $11, $12 }'
    rm -rf "$work/loop$round" "$work/batch$round"
    round=$((round + 1))
done
