#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What one run of a denoiser asks of a GPU, without one: benchmarks/device-operations.sh [OPTIONS of generate, as --model BUNDLE --size 1024x1024].
# ONNX Runtime's CUDA provider runs on emulated CUDA (native/emulation), which writes down what it is asked for and computes nothing. Printed are the
# operations of the last run of the denoiser, most frequent first, and the memory that was taken for weights and for the work of each network.
set -eu
cd "$(dirname "$0")/.."
ASG_GPU=1 ./asg --version > /dev/null
JAVA_HOME=$(./asg --print-jdk) native/build.sh test > /dev/null
nvrtc=target/nvrtc/org/bytedeco/cuda/linux-x86_64
[ -d "$nvrtc" ] || mvn -B -ntp -q generate-test-resources
cuda=$PWD/target/native-build/cuda
log=target/device-operations.log
LD_LIBRARY_PATH=$cuda ASG_EMULATED_LOG=$log ASG_EMULATED_MEMORY=${ASG_EMULATED_MEMORY:-141000000000} \
    ASG_JAVA_OPTS="-Dasg.cuda.path=$cuda:$PWD/$nvrtc ${ASG_JAVA_OPTS:-}" \
    ./asg generate --prompt "a red ball on grass" --seed 0 --steps 4 --method direct --devices cuda:0 --out target/device-operations.png --quiet "$@"
# Most frequent first, C++ names readable where there is c++filt.
demangle=$(command -v c++filt || echo cat)
awk -F '\t' -v names="sort -rn | $demangle | sed 's/onnxruntime:://g; s/contrib:://g; s/cuda:://g' | cut -c -150" '
    # Runs of the denoiser are what the provider does on the stream of our kernels, between these.
    $1 == "our kernel" { stream = $3; if (n > 20) { runs++; m = n; split("", last); for (k in now) last[k] = now[k] } n = 0; split("", now) }
    $1 == "allocate" && $2 == "cudaMalloc" { taken += $4 }
    $1 ~ /^(kernel|gemm|cudnn)$/ { if (!($3 in bytes)) order[++places] = $3; bytes[$3] += taken; taken = 0 }
    $1 !~ /^our / && $3 == stream { n++; name = $1 == "gemm" || $1 == "cudnn" ? $1 " " substr($2, 1, index($2 " ", " ") - 1) : $1 " " $2; now[name]++ }
    END {
        print m " operations in the last of " runs " runs:"
        for (k in last) printf "%6d %s\n", last[k], k | names
        close(names)
        print "memory taken before the first work on each stream (the first: weights and the text encoders) and during it:"
        for (i = 1; i <= places; i++) printf "%10.1f MB %s%s\n", bytes[order[i]] / 1e6, order[i], order[i] == stream ? ", the denoiser" : ""
    }' "$log"
