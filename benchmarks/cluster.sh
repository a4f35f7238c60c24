#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Spark's local-cluster of two executors with a core each beside asg batch on cpu:2, and both beside ClusterModel, the demo model:
#   benchmarks/cluster.sh [PICTURES [STEPS [ROUNDS [SIZE]]]]
# The model's inputs are measured first, by other runs than those that it is held against: how long pictures take, by two batches on cpu:1 at once; start,
# restart, tasks and jobs, by a small table during which an executor is killed. Each round then draws the same prompts in both ways, one after the other, so
# that a busy machine slows both; the last run loses an executor in its middle. Compare the ratios of a row.
set -eu
cd "$(dirname "$0")/.."
pictures=${1:-80} steps=${2:-4} rounds=${3:-2} size=${4:-256x256}
. benchmarks/build.sh
. integrations/spark/submit.sh
work=$PWD/benchmarks/target/cluster
rm -rf "$work"
mkdir -p "$work"
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT

# prompts N: into the file that batch and submit read
prompts() {
    seq -f 'a red ball on grass, number %g' "$1" > "$work/prompts.txt"
}

now() {
    date +%s.%N
}

# table NAME ARGUMENT...
table() {
    submit "$1" 'local-cluster[2,1,2048]' "" -- "${@:2}" > /dev/null || {
        echo "cluster.sh: no table: $work/$1.err says why" >&2
        exit 1
    }
}

# lose NAME TASKS: kill -9 of an executor once so many tasks have drawn
lose() {
    until [ "$(cat "$work/$1-events/events.jsonl" 2> /dev/null | grep -c '"rows":[1-9]')" -ge "$2" ]; do sleep 0.1; done
    victim=$(find "$work/$1-events" -name 'process-*' | head -n 1)
    kill -9 "${victim##*process-}"
}

# batch NAME OPTION...
batch() {
    ./asg batch --in "$work/prompts.txt" --out "$work/$1" --size "$size" --steps "$steps" --json "${@:2}" 2> "$work/$1.err" | tail -n 1 > "$work/$1.json"
}

prompts $((pictures / 2))
batch half0 --devices cpu:1 --shard 0/2 &
batch half1 --devices cpu:1 --shard 1/2
wait $!
lose inputs 3 &
table inputs --pictures-per-task 5 --pictures-per-job $((pictures / 4))
wait $!

# A run: its name, what it drew, and the seconds of the batch beside it, in all and while it drew.
prompts "$pictures"
runs=()
round=1
while [ "$round" -le "$rounds" ]; do
    start=$(now)
    batch "batch$round" --devices cpu:2
    seconds=$(echo "$(now) $start" | awk '{ print $1 - $2 }')
    drawing=$(sed -n 's/.*"seconds":\([0-9.]*\).*/\1/p' "$work/batch$round.json")
    table "round$round" --pictures-per-task 10
    runs+=("round $round: tasks of 10,$work/round$round-events/events.jsonl,$pictures,10,$pictures,$seconds,$drawing")
    round=$((round + 1))
done
table small --pictures-per-task 4 --pictures-per-job $((pictures / 4))
runs+=("tasks of 4 in four jobs,$work/small-events/events.jsonl,$pictures,4,$((pictures / 4))")
lose lost $((pictures / 20)) &
table lost --pictures-per-task 10
wait $!
runs+=("tasks of 10; an executor is killed,$work/lost-events/events.jsonl,$pictures,10,$pictures")

"$jdk/bin/java" -cp benchmarks/target/benchmarks.jar io.github.asg4j.benchmarks.ClusterModelReport \
    "$work/half0/shard-0000-of-0002/log.jsonl,$work/half1/shard-0001-of-0002/log.jsonl" "$work/inputs-events/events.jsonl" "${runs[@]}"
