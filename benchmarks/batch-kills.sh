#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# asg batch, killed by kill -9 at random moments and begun again each time, held against the folder of a run that nothing disturbed, the demo model:
#   benchmarks/batch-kills.sh [KILLS [PICTURES [FORMAT [SEED]]]]
# A moment is a random number of records and then a random part of a second later: while the engine opens, while a picture is drawn, stored or recorded.
set -eu
cd "$(dirname "$0")/.."
kills=${1:-20} pictures=${2:-100} format=${3:-files}
RANDOM=${4:-1}
./asg --version > /dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
i=0
while [ "$i" -lt "$pictures" ]; do
    echo "a red ball on grass, number $((i * 10 / 11))" >> "$work/prompts.txt" # every eleventh is there already
    i=$((i + 1))
done

run() {
    # By exec, so that the process that is killed is the one that draws.
    exec ./asg batch --in "$work/prompts.txt" --out "$1" --size 128x128 --steps 4 --devices cpu:1 --format "$format" ${files[@]+"${files[@]}"} --json
}

files=()
[ "$format" = files ] || files=(--pictures-per-file 7)

records() {
    wc -l 2> /dev/null < "$work/killed/records.jsonl" || echo 0
}

(run "$work/whole") > /dev/null 2> "$work/err"
hit=0 kill=0
while [ "$kill" -lt "$kills" ]; do
    before=$(records)
    until=$((before + RANDOM % (pictures / kills)))
    (run "$work/killed") > /dev/null 2> "$work/err" &
    process=$!
    while kill -0 $process 2> /dev/null && [ "$(records)" -lt "$until" ]; do
        sleep 0.01
    done
    sleep "0.$(printf %03d $((RANDOM % 1000)))"
    if kill -9 $process 2> /dev/null; then
        kill=$((kill + 1))
        [ "$(records)" -gt "$before" ] && hit=$((hit + 1))
    else
        echo "it ended after $kill kills: give more pictures" >&2
        exit 1
    fi
    wait $process 2> /dev/null || true
done
at=$(records)
(run "$work/killed") > /dev/null 2> "$work/err"
diff -r --exclude=log.jsonl "$work/whole" "$work/killed"
drawn=$(grep -c '^{"picture"' "$work/killed/log.jsonl")
once=$(grep -c '^{"picture"' "$work/whole/log.jsonl")
twice=$(grep -o '^{"picture":[0-9]*' "$work/killed/log.jsonl" | sort | uniq -d | wc -l)
echo "$kills kills, $hit of them after pictures of their run, the last at record $at of $pictures; then the same files as undisturbed;" \
    "$once pictures, of which $twice were stored twice ($drawn in the logs)"
[ "$twice" -le "$kills" ]
