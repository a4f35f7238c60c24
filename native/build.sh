#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Called by Maven from any folder: build.sh build | test
#   build  writes target/native/build.properties and, where CMake and a C++ compiler are there, the library beside it
#   test   builds and runs the native tests
# Without the tools the build goes on without the library; with them a failing native build fails it.
set -eu
cd "$(dirname "$0")/.."
out=target/native
work=target/native-build

properties() { # built reason
    mkdir -p "$out"
    printf 'native.built=%s\nreason=%s\n' "$1" "$2" > "$out/build.properties.new"
    # Keep the time of an unchanged file, so that an unchanged jar stays unchanged.
    if cmp -s "$out/build.properties.new" "$out/build.properties"; then
        rm "$out/build.properties.new"
    else
        mv -f "$out/build.properties.new" "$out/build.properties"
    fi
}

without() { # reason
    rm -rf "$out/linux-x86_64" target/classes/io/github/asg4j/native
    echo "native kernels not built: $1; pure-Java kernels will serve" >&2
    properties false "$1"
    exit 0
}

logged() { # command...: silent unless it fails
    "$@" > target/native-build.log 2>&1 || {
        cat target/native-build.log >&2
        echo "native kernels: failed: $*" >&2
        exit 1
    }
}

case "${1:-build}" in
build)
    mkdir -p target
    touch target/asg.stamp.next
    [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || without "this is $(uname -s) $(uname -m), the kernels are for Linux x86-64"
    command -v cmake > /dev/null || without "cmake is not installed"
    command -v "${CXX:-c++}" > /dev/null || command -v g++ > /dev/null || command -v clang++ > /dev/null \
        || without "no C++ compiler is installed"
    # A build folder that came with a copy of the tree belongs to the original.
    grep -qsx "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD/native" "$work/CMakeCache.txt" || rm -rf "$work"
    if [ ! -d "$work" ]; then
        if command -v ninja > /dev/null; then generator=Ninja
        elif command -v make > /dev/null; then generator="Unix Makefiles"
        else without "neither ninja nor make is installed"
        fi
        logged cmake -S native -B "$work" -G "$generator" -DCMAKE_BUILD_TYPE=Release
    fi
    logged cmake --build "$work" --parallel --target asg_cpu
    mkdir -p "$out/linux-x86_64"
    cmp -s "$work/libasg_cpu.so" "$out/linux-x86_64/libasg_cpu.so" \
        || cp -f "$work/libasg_cpu.so" "$out/linux-x86_64/libasg_cpu.so"
    properties true built
    ;;
test)
    if [ -f "$out/linux-x86_64/libasg_cpu.so" ]; then
        logged cmake --build "$work" --parallel
        ctest --test-dir "$work" --output-on-failure --timeout 120
    else
        echo "native tests skipped: native kernels were not built"
    fi
    ;;
*)
    echo "usage: native/build.sh build|test" >&2
    exit 2
    ;;
esac
