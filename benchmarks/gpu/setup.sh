# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts of this folder, from the root of the repository or of a kit (kit.sh). Ends them without a GPU, but for kit.sh, which sets
# $packing. In the repository it builds the engine with the CUDA natives and the benchmarks, and leaves what is on the classpath below as it is in a kit.
[ -n "${packing:-}" ] || [ -e /dev/nvidiactl ] || { echo "$(basename "$0"): this machine has no NVIDIA GPU" >&2; exit 1; }
engine_arguments=-Pgpu
. benchmarks/build.sh
if [ ! -e kit.txt ]; then
    mvn -q -B -ntp -f benchmarks/pom.xml dependency:copy-dependencies -DoutputDirectory=target/lib -DincludeGroupIds=org.openjdk.jmh,net.sf.jopt-simple,org.apache.commons
fi

# on_gpu CLASS [ARGUMENT...]: a main class of the engine, the benchmarks or, after build_tests, the tests. $launcher, if set, starts the Java runtime.
on_gpu() {
    # shellcheck disable=SC2086 # words of their own
    ${launcher:-} "$jdk/bin/java" --enable-native-access=ALL-UNNAMED -Dorg.bytedeco.javacpp.nopointergc=true -Dorg.bytedeco.javacpp.platform.extension=-gpu \
        ${ASG_JAVA_OPTS:-} -cp "$(echo target/asg4j-*.jar):target/lib/*:benchmarks/target/classes:benchmarks/target/lib/*:target/test-classes:target/test-lib/*" "$@"
}

build_tests() {
    [ ! -e kit.txt ] || return 0
    mvn -q -B -ntp test-compile dependency:copy-dependencies -DoutputDirectory=target/test-lib -DincludeGroupIds=org.junit.jupiter,org.junit.platform,org.opentest4j
}
