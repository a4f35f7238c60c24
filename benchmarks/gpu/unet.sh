#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# On a machine with an NVIDIA GPU: milliseconds of a guided step of SDXL (a UNet call of two rows, 1024 x 1024) in the engine and in PyTorch on the same
# GPU, and what lies between two UNet calls of larger pictures: benchmarks/gpu/unet.sh [PYTHON [BUNDLE]]. PYTHON has torch and diffusers; without it the
# engine alone is measured. Without a BUNDLE the one of sdxl-weightless.zip is taken (onnx-export/tests/weightless.py made it of full_size.py's
# checkpoint): random weights, 7 GB, are written to target. Not run on a GPU yet.
set -eu
cd "$(dirname "$0")/../.."
. benchmarks/gpu/setup.sh
python=${1:-}
bundle=${2:-target/sdxl-random}
if [ ! -e "$bundle" ] && [ $# -lt 2 ]; then
    "${python:-python3}" onnx-export/tests/weightless.py fill benchmarks/gpu/sdxl-weightless.zip "$bundle.part"
    mv "$bundle.part" "$bundle"
fi
# One that fails does not keep the others from being measured.
draw() {
    on_gpu io.github.asg4j.cli.Main generate --model "$bundle" --devices cuda:0 --seed 1 --prompt "a red ball on grass" --out target/unet.png \
        --trace target/unet-trace.json "$@" || echo "failed"
}
given=${ASG_JAVA_OPTS:-}
# What the trace's summary calls a network run is one guided step here: direct has one view, of two rows.
for options in "" prefer_nhwc=1 enable_cuda_graph=1 prefer_nhwc=1,enable_cuda_graph=1; do
    echo "options of ONNX Runtime's CUDA provider: ${options:-ours}"
    ASG_JAVA_OPTS="$given -Dasg.cuda.options=$options" draw --method direct --size 1024x1024 --steps 30
done
# At most six launches between two calls, 1 % of their time, 0.5 % idle.
for size in 2048x2048 4096x4096; do
    echo "asg at $size"
    draw --method asg --size "$size" --steps 8
done
[ -n "$python" ] || { echo "unet.sh: no PYTHON given: PyTorch was not measured" >&2; exit 0; }
export PYTHONPATH="onnx-export${PYTHONPATH:+:$PYTHONPATH}"
"$python" onnx-export/tests/torch_step.py --family sdxl --steps 30
"$python" onnx-export/tests/torch_step.py --family sdxl --steps 30 --compile
