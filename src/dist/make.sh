#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Called by mvn -Pdist package: make.sh JAR
# Makes target/dist/NAME and NAME.tar.gz: a Java runtime of the modules that the command line needs, the jars (the
# demo bundle and the native kernels are in ours), and bin/asg. Then runs bin/asg doctor there, with no JDK on PATH.
set -eu
cd "$(dirname "$0")/../.."
jar=$1
jdk=$(./asg --print-jdk)
name=$(basename "$jar" .jar)-linux-x86_64
[ -n "$(find target/lib -name 'onnxruntime-*-gpu.jar')" ] && name=$name-cuda
out=target/dist/$name
rm -rf target/dist
mkdir -p "$out/bin" "$out/lib"
# Named, not found by jdeps: Jackson mentions modules that no JSON of ours needs. Flight recorder: the reader of Parquet has events of its own.
"$jdk/bin/jlink" --output "$out/runtime" --strip-debug --no-header-files --no-man-pages --compress zip-6 \
    --add-modules java.base,java.desktop,java.logging,java.management,java.naming,jdk.jfr,jdk.management,jdk.unsupported
cp "$jar" target/lib/*.jar "$out/lib/"
cp src/dist/asg "$out/bin/asg"
chmod 755 "$out/bin/asg"
cp LICENSE NOTICE README.md "$out/"
tar -C target/dist -czf "target/dist/$name.tar.gz" "$name"
env -i HOME="${HOME:-/}" PATH=/usr/bin:/bin "$out/bin/asg" doctor > target/dist/doctor.txt 2>&1 || {
    cat target/dist/doctor.txt >&2
    echo "dist: bin/asg doctor failed" >&2
    exit 1
}
du -sh "$out" "target/dist/$name.tar.gz"
