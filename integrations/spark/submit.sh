# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts that run Spark on this machine, from the repository's root: builds engine and module, fetches Spark's jars, and defines
# spark CLASS ARGUMENT... (a process of Spark) and submit (FaultyTable, which is DrawTable with what happens to its tasks written down).
# $jdk is the JDK, $module and $target the folders of the module, $jars what goes with --jars; the script says $work, a folder, $size and $steps.
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
# Drivers and daemons live too short for the second compiler.
options="$(sed -n '/<argLine>/,/<\/argLine>/p' "$module/pom.xml" | grep -v argLine) -XX:TieredStopAtLevel=1"

# spark CLASS ARGUMENT...; $classes, if set, are beside Spark's
spark() {
    # shellcheck disable=SC2086 # a list of words
    "$jdk/bin/java" $options -cp "$SPARK_HOME/jars/*${classes:+:$classes}" "$@"
}

# submit NAME MASTER FAULTS [OPTION OF SPARK...] -- [ARGUMENT...]: draws $work/prompts.txt into $work/NAME; prints what it did, in $work/NAME.out too.
# What Spark logs is in $work/NAME.err, what happened and when in $work/NAME-events.
submit() {
    local name=$1 master=$2 faults=$3 conf=()
    shift 3
    while [ "$1" != -- ]; do
        conf+=("$1")
        shift
    done
    shift
    rm -rf "$work/$name-events"
    spark org.apache.spark.deploy.SparkSubmit --master "$master" --conf spark.executor.cores=1 --conf spark.executor.memory=1g \
        --conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1 --conf spark.sql.shuffle.partitions=4 ${conf[@]+"${conf[@]}"} \
        --jars "$jars" --class io.github.asg4j.spark.FaultyTable "$app" "$faults" "$work/$name-events" \
        --in "$work/prompts.txt" --out "$work/$name" --size "$size" --steps "$steps" "$@" > "$work/$name.out" 2> "$work/$name.err" || {
        echo "$name: no table" > "$work/$name.out"
        return 1
    }
    cat "$work/$name.out"
}
