#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# asg4j on Spark clusters of this machine, the demo model; five minutes on two idle cores:
#   [PYSPARK=PYTHON] integrations/spark/cluster.sh [PICTURES [STEPS [PART...]]]
# batch draws the pictures, and each table is held against its files byte by byte. Parts, all unless some are named:
#   local       two executors in processes of their own (local-cluster)
#   standalone  a standalone master with two workers, which all parts but local and example have: a table, and the same once more, which draws nothing
#   kill        kill -9 of an executor that draws
#   throw       a task that fails
#   straggle    a task that stands still until speculation overtakes it
#   lose        an executor that loses its device
#   natives     a worker without natives for its platform beside one that has them, and then alone
#   example     example.py, where PYSPARK names a Python with PySpark 4.2
# Ends with exit code 1 at the first thing that is not as it should be. Everything that Spark prints is in integrations/spark/target/cluster.
set -eu
cd "$(dirname "$0")/../.."
pictures=${1:-24} steps=${2:-4} size=128x128
parts=("${@:3}")
[ ${#parts[@]} -gt 0 ] || parts=(local standalone kill throw straggle lose natives example)
work=$PWD/integrations/spark/target/cluster
. integrations/spark/submit.sh
rm -rf "$work"
mkdir -p "$work"
seq -f 'a red ball on grass, number %g' "$pictures" > "$work/prompts.txt"
started=
trap '[ -z "$started" ] || kill $started 2> /dev/null || true' EXIT

wrong() {
    echo "cluster.sh: $1" >&2
    exit 1
}

# draw NAME FAULTS [OPTION OF SPARK...]: a table by $master, or the end
draw() {
    local name=$1 faults=$2
    shift 2
    submit "$name" "$master" "$faults" "$@" -- --pictures-per-task 3 || wrong "no table $name: $work/$name.err says why"
}

# printed NAME TEXT...: its run has to have printed these
printed() {
    local name=$1 text
    shift
    for text; do
        grep -q -- "$text" "$work/$name.out" || wrong "$name did not print $text: see $work/$name.err"
    done
}

# compare NAME: its table has to be the batch's pictures
compare() {
    classes=$target/test-classes spark io.github.asg4j.spark.CompareWithBatch "$work/$1" "$work/batch" 2> "$work/compare.err" || wrong "$1 is another table: see $work/compare.err"
}

# start NAME CLASS ARGUMENT...: a daemon of the standalone cluster; $daemon is its process
start() {
    local name=$1
    shift
    # Not by spark, whose shell would be the process that is killed.
    # shellcheck disable=SC2086 # a list of words
    "$jdk/bin/java" $options -cp "$SPARK_HOME/jars/*" "$@" > "$work/$name.err" 2>&1 &
    daemon=$!
    started="$started $daemon"
}

# worker NAME HOST
worker() {
    start "$1" org.apache.spark.deploy.worker.Worker --host "$2" --cores 1 --memory 2g --webui-port 0 --work-dir "$work/$1" "$master"
    until grep -q "Successfully registered" "$work/$1.err" 2> /dev/null; do
        kill -0 "$daemon" || wrong "no worker: see $work/$1.err"
        sleep 0.5
    done
}

echo "== batch, cpu:2"
./asg batch --in "$work/prompts.txt" --out "$work/batch" --size "$size" --steps "$steps" --devices cpu:2 --json 2> /dev/null | tail -n 1

echo "== generate, the first picture"
seed=$(sed -n '1s/.*"seed":\([0-9]*\).*/\1/p' "$work/batch/records.jsonl")
file=$(sed -n '1s/.*"file":"\([^"]*\)".*/\1/p' "$work/batch/records.jsonl")
./asg generate --prompt "$(head -n 1 "$work/prompts.txt")" --seed "$seed" --size "$size" --steps "$steps" --quiet --out "$work/one.png" > /dev/null
cmp "$work/one.png" "$work/batch/$file" && echo "the file of the batch"

# A cluster of two workers, each on a host of its own: Spark does not speculate on the host of the first attempt.
workers() {
    [ -z "$started" ] || return 0
    master=spark://127.0.0.1:$((20000 + $$ % 20000))
    start master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port "${master##*:}" --webui-port 0
    until grep -q "I have been elected leader" "$work/master.err" 2> /dev/null; do
        kill -0 "$daemon" || wrong "no master: see $work/master.err"
        sleep 0.5
    done
    worker worker1 127.0.0.1
    first=$daemon
    worker worker2 127.0.0.2
    second=$daemon
}

local_() {
    echo "== local-cluster, two executors of one core each"
    master='local-cluster[2,1,2048]'
    draw local ""
    compare local
}

standalone() {
    echo "== standalone, two workers of one core each"
    draw standalone ""
    printed standalone "\"drawn\":$pictures,"
    compare standalone
    echo "== the same table again"
    draw standalone ""
    printed standalone "\"there\":$pictures,\"drawn\":0,"
}

kill_() {
    echo "== kill -9 of an executor that draws"
    (
        until [ -n "$(find "$work/killed-events" -name 'process-*' 2> /dev/null)" ]; do sleep 0.1; done
        sleep 0.7
        victim=$(find "$work/killed-events" -name 'process-*' | head -n 1)
        kill -9 "${victim##*process-}" && echo "kill -9 ${victim##*process-}"
    ) &
    draw killed ""
    printed killed "executors lost=1" ExecutorLostFailure
    compare killed
}

# fault NAME TEXT...: one run for each, so that no fault hides another
fault() {
    local name=$1
    draw "$name" "$name" --conf spark.speculation=true --conf spark.speculation.interval=200ms --conf spark.speculation.multiplier=1.5 \
        --conf spark.speculation.quantile=0.3 --conf spark.speculation.minTaskRuntime=500ms
    [ -e "$work/$name-events/fault-$name" ] || wrong "the fault did not happen"
    printed "$@"
    compare "$name"
}

natives() {
    echo "== one worker of two has no natives for its platform"
    kill "$second"
    JAVA_TOOL_OPTIONS=-Dorg.bytedeco.javacpp.platform=linux-arm64 worker worker3 127.0.0.3
    draw natives "" --conf spark.excludeOnFailure.enabled=true
    printed natives ExceptionFailure
    grep -h -o 'DeviceException: .*' "$work/natives.err" | head -n 1
    compare natives
    echo "== no worker has any"
    kill "$first"
    if submit none "$master" "" -- --pictures-per-task 3; then
        wrong "a worker without natives drew"
    fi
    grep -h -o 'DeviceException: .*' "$work/none.err" | tail -n 1
}

example() {
    if [ -z "${PYSPARK:-}" ]; then
        echo "== example.py: left out, as PYSPARK names no Python with PySpark"
        return
    fi
    echo "== example.py"
    PYSPARK_PYTHON=$PYSPARK PYSPARK_DRIVER_PYTHON=$PYSPARK spark org.apache.spark.deploy.SparkSubmit --master 'local-cluster[2,1,2048]' \
        --conf spark.executor.cores=1 --conf spark.executor.memory=1g --conf spark.ui.enabled=false --jars "$jars" \
        "$module/example.py" "$work/example" size="$size" steps="$steps" > "$work/example.out" 2> "$work/example.err" ||
        wrong "example.py failed: see $work/example.err"
    cat "$work/example.out"
    ./asg generate --prompt "a red ball on grass" --seed 1 --size "$size" --steps "$steps" --quiet --out "$work/example.png" > /dev/null
    printed example "$(sha256sum < "$work/example.png" | cut -d ' ' -f 1)"
    echo "its first picture has the bytes of generate"
}

for part in "${parts[@]}"; do
    case $part in
        local) local_ ;;
        example) example ;;
        *) workers ;;&
        standalone) standalone ;;
        kill) kill_ ;;
        throw)
            echo "== a task fails"
            fault throw ExceptionFailure=1
            ;;
        straggle)
            echo "== a task stands still, with speculation"
            fault straggle speculative= TaskKilled
            ;;
        lose)
            echo "== an executor loses its device"
            fault lose "executors lost=1"
            grep -h -r -o 'this executor ends.*' "$work/worker1" "$work/worker2" || wrong "the executor did not say why it ended"
            ;;
        natives) natives ;;
        *) wrong "there is no part $part" ;;
    esac
done
echo "== the same $pictures pictures each time: ${parts[*]}"
