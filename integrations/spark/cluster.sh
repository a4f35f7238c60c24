#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# asg4j on Spark clusters of this machine, the demo model; some minutes on two idle cores:
#   integrations/spark/cluster.sh [PICTURES [STEPS]]
# batch draws the pictures first. Then, each table held against batch's files byte by byte: executors in processes of their own (local-cluster), once
# more over the same table, with faults and speculation; a standalone master with two workers and kill -9 of an executor; a worker without natives;
# and example.py, where PYSPARK names a Python with PySpark. Everything that Spark prints is in integrations/spark/target/cluster.
set -eu
cd "$(dirname "$0")/../.."
pictures=${1:-24} steps=${2:-2}
jdk=$(./asg --print-jdk)
export JAVA_HOME=$jdk SPARK_LOCAL_IP=127.0.0.1 SPARK_SCALA_VERSION=2.13
export MAVEN_OPTS="${MAVEN_OPTS:-} --sun-misc-unsafe-memory-access=allow --enable-native-access=ALL-UNNAMED"
mvn -q -B -ntp -Dquick install
module=$PWD/integrations/spark target=$PWD/integrations/spark/target
mvn -q -B -ntp -f "$module/pom.xml" -DskipTests package
export SPARK_HOME=$target/spark
mvn -q -B -ntp -f "$module/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies \
    -DincludeScope=provided -DoutputDirectory="$SPARK_HOME/jars"
"$jdk/bin/jar" --create --file "$target/faults.jar" -C "$target/test-classes" io
app=$target/asg4j-spark-0.1.0-SNAPSHOT.jar
jars=$(printf '%s,' "$target"/lib/*.jar "$PWD"/target/lib/asg4j-*-demo.jar "$target/faults.jar")$app
work=$target/cluster
rm -rf "$work"
mkdir -p "$work"
options=$(sed -n '/<argLine>/,/<\/argLine>/p' "$module/pom.xml" | grep -v argLine)
i=0
while [ "$i" -lt "$pictures" ]; do
    echo "a red ball on grass, number $i" >> "$work/prompts.txt"
    i=$((i + 1))
done
started=
trap '[ -z "$started" ] || kill $started 2> /dev/null || true' EXIT

now() {
    date +%s.%N
}

# submit NAME MASTER [OPTION OF SPARK...] -- FAULTS [ARGUMENT...]: draws into $work/NAME
submit() {
    name=$1 master=$2
    shift 2
    set -- "$@"
    spark=()
    while [ "$1" != -- ]; do
        spark+=("$1")
        shift
    done
    faults=$2
    shift 2
    # shellcheck disable=SC2086  # a list of words
    "$jdk/bin/java" $options -cp "$SPARK_HOME/jars/*" org.apache.spark.deploy.SparkSubmit --master "$master" \
        --conf spark.executor.cores=1 --conf spark.executor.memory=1g --conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1 \
        --conf spark.sql.shuffle.partitions=4 "${spark[@]}" --jars "$jars" --class io.github.asg4j.spark.FaultyTable "$app" \
        "$faults" "$work/$name-events" --in "$work/prompts.txt" --out "$work/$name" --size 128x128 --steps "$steps" "$@" \
        --pictures-per-task 3 > "$work/$name.out" 2> "$work/$name.err" || {
        grep -m 3 -E 'asg:|Exception' "$work/$name.err" >&2
        return 1
    }
    cat "$work/$name.out"
}

compare() {
    # shellcheck disable=SC2086
    "$jdk/bin/java" $options -cp "$SPARK_HOME/jars/*:$target/test-classes" io.github.asg4j.spark.CompareWithBatch "$work/$1" "$work/batch" 2> "$work/compare.err"
}

echo "== batch, cpu:2"
./asg batch --in "$work/prompts.txt" --out "$work/batch" --size 128x128 --steps "$steps" --devices cpu:2 --json 2> /dev/null | tail -n 1

echo "== generate, the first picture"
seed=$(sed -n '1s/.*"seed":\([0-9]*\).*/\1/p' "$work/batch/records.jsonl")
file=$(sed -n '1s/.*"file":"\([^"]*\)".*/\1/p' "$work/batch/records.jsonl")
./asg generate --prompt "$(head -n 1 "$work/prompts.txt")" --seed "$seed" --size 128x128 --steps "$steps" --quiet --out "$work/one.png" > /dev/null
cmp "$work/one.png" "$work/batch/$file" && echo "the file of the batch"

cluster='local-cluster[2,1,2048]'
echo "== two executors of one core each"
submit cluster "$cluster" -- ""
compare cluster
echo "== the same table again"
submit cluster "$cluster" -- ""

# One run for each, so that no fault hides another.
for fault in throw kill lose straggle; do
    echo "== $fault: a task fails, an executor is killed, loses its device, or a task stands still until another attempt overtakes it"
    submit "$fault" "$cluster" --conf spark.speculation=true --conf spark.speculation.interval=200ms --conf spark.speculation.multiplier=1.2 \
        --conf spark.speculation.quantile=0.2 --conf spark.speculation.minTaskRuntime=500ms -- "$fault"
    (cd "$work/$fault-events" && echo "happened:" fault-*)
    compare "$fault"
done

# start NAME CLASS ARGUMENT...: a daemon of the standalone cluster; $daemon is its process
start() {
    name=$1
    shift
    # shellcheck disable=SC2086
    "$jdk/bin/java" $options -cp "$SPARK_HOME/jars/*" "$@" > "$work/$name.err" 2>&1 &
    daemon=$!
    started="$started $daemon"
}

port=$((20000 + $$ % 20000))
url=spark://127.0.0.1:$port
start master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port $port --webui-port 0
until grep -q "I have been elected leader" "$work/master.err"; do sleep 0.5; done
start worker1 org.apache.spark.deploy.worker.Worker --cores 1 --memory 2g --webui-port 0 --work-dir "$work/worker1" $url
start worker2 org.apache.spark.deploy.worker.Worker --cores 1 --memory 2g --webui-port 0 --work-dir "$work/worker2" $url
second=$daemon

echo "== a standalone master and two workers, kill -9 of an executor that draws"
(
    until [ -e "$work"/standalone-events/process-* ] 2> /dev/null; do sleep 0.1; done
    victim=$(cd "$work/standalone-events" && echo process-* | sed 's/process-\([0-9]*\).*/\1/')
    sleep 0.5
    kill -9 "$victim" && echo "killed $victim"
) &
submit standalone $url -- ""
compare standalone

echo "== one worker whose platform has no natives"
kill "$second"
JAVA_TOOL_OPTIONS=-Dorg.bytedeco.javacpp.platform=linux-arm64 start worker3 org.apache.spark.deploy.worker.Worker --cores 1 --memory 2g --webui-port 0 \
    --work-dir "$work/worker3" $url
submit natives $url --conf spark.excludeOnFailure.enabled=true -- ""
grep -h -o 'DeviceException: .*' "$work/natives.err" | head -n 1
compare natives

if [ -n "${PYSPARK:-}" ]; then
    echo "== example.py"
    # shellcheck disable=SC2086
    PYSPARK_PYTHON=$PYSPARK PYSPARK_DRIVER_PYTHON=$PYSPARK "$jdk/bin/java" $options -cp "$SPARK_HOME/jars/*" org.apache.spark.deploy.SparkSubmit \
        --master "$cluster" --conf spark.executor.cores=1 --conf spark.executor.memory=1g --conf spark.ui.enabled=false --jars "$jars" \
        "$module/example.py" "$work/example" size=128x128 steps="$steps" 2> "$work/example.err"
fi
