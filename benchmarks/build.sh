# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts of this folder, from the repository's root: finds the JDK ($jdk), builds the engine with $engine_arguments, if set, for Maven and
# then the benchmarks. In a kit (gpu/kit.sh) both are built and a Java runtime is there.
if [ -e kit.txt ]; then
    jdk=$PWD/runtime
else
    jdk=$(./asg --print-jdk)
    export JAVA_HOME="$jdk"
    export MAVEN_OPTS="${MAVEN_OPTS:-} --sun-misc-unsafe-memory-access=allow --enable-native-access=ALL-UNNAMED"
    # shellcheck disable=SC2086 # words of their own
    mvn -q -B -ntp -Dquick ${engine_arguments:-} install
    mvn -q -B -ntp -f benchmarks/pom.xml package
fi
