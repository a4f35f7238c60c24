#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the scripts of this folder need on a machine with a GPU that has neither a JDK nor Maven nor a network, only the driver and CUDA's libraries:
# benchmarks/gpu/kit.sh [BYTES]. Makes target/gpu-kit.tar.xz or, with BYTES, parts of at most that size (cat gpu-kit.tar.xz.* | tar xJ), with a Java
# runtime, the engine, its kernels' tests and the benchmarks, all built; there, in the folder gpu-kit: benchmarks/gpu/all.sh RESULTS
set -eu
cd "$(dirname "$0")/../.."
bytes=${1:-}
case $bytes in *[!0-9]*) echo "kit.sh: BYTES is \"$bytes\", expected a number" >&2; exit 2 ;; esac
packing=yes
. benchmarks/gpu/setup.sh
build_tests
kit=target/gpu-kit
rm -rf "$kit" target/gpu-kit.tar.xz*
mkdir -p "$kit/target/lib" "$kit/target/test-lib" "$kit/target/test-classes" "$kit/benchmarks/target" "$kit/onnx-export"
"$jdk/bin/jlink" --output "$kit/runtime" --strip-debug --no-header-files --no-man-pages \
    --add-modules java.desktop,java.logging,java.management,jdk.management,jdk.unsupported
# Unpacked, so that xz finds more to compress; without the natives that the engine does not load on a GPU.
for jar in target/asg4j-*.jar target/lib/*.jar target/test-lib/*.jar; do
    case $jar in
        target/lib/onnxruntime-*-gpu.jar) ;;
        target/lib/onnxruntime-*-linux-*.jar | target/lib/dnnl-*-linux-*.jar | target/lib/opencl-*-linux-*.jar | target/lib/cuda-*-linux-*.jar) continue ;;
        *-sources.jar | *-javadoc.jar | *-tests.jar) continue ;;
    esac
    (folder=$(mktemp -d) && cd "$folder" && "$jdk/bin/jar" xf "$OLDPWD/$jar" && "$jdk/bin/jar" --create --no-compress --manifest META-INF/MANIFEST.MF --file "$OLDPWD/$kit/$jar" . && rm -r "$folder")
done
cp -r target/test-classes/io "$kit/target/test-classes/"
cp -r benchmarks/build.sh benchmarks/gpu benchmarks/NOTES.md "$kit/benchmarks/"
cp -r benchmarks/target/classes benchmarks/target/lib "$kit/benchmarks/target/"
cp -r onnx-export/asg4j_export onnx-export/asg4j_demo onnx-export/tests "$kit/onnx-export/"
cp LICENSE NOTICE "$kit/"
git rev-parse HEAD > "$kit/kit.txt" 2> /dev/null || echo "unknown commit" > "$kit/kit.txt"
tar -C target -cf - gpu-kit | xz -T0 -9 > target/gpu-kit.tar.xz
if [ -n "$bytes" ]; then
    split -b "$bytes" -d target/gpu-kit.tar.xz target/gpu-kit.tar.xz.
    rm target/gpu-kit.tar.xz
fi
du -h target/gpu-kit.tar.xz*
