#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A whole picture of Stable Diffusion 1.5 at 512x512 on the CPU by this engine, diffusers and stable-diffusion.cpp, in fp32 and bf16, one after the other:
#   benchmarks/whole-picture.sh FOLDER PYTHON [STEPS [THREADS [ROUNDS]]]
# FOLDER is a diffusers folder, of random weights too (onnx-export/tests/full_size.py checkpoint sd15 FOLDER): its tokenizer is left out, since the engine refuses one with another
# vocabulary. PYTHON has torch and diffusers. bf16 needs OpenVINO's plug-in (docs/precision.md). The first bf16 picture of a checkpoint compiles and keeps the denoiser, a second one opens it.
# Seconds of the whole process, start and loading included: wall, and processor time of user and system. On a machine that does other work only those of one round compare.
# ASG is the command in the place of ./asg. SD_CPP is stable-diffusion.cpp's sd-cli and SD_CPP_MODEL a checkpoint of the same shape in one file; without them its rows are left out.
# SD_CPP_TYPES are the types of its weights; f32 f16 bf16.
set -eu
cd "$(dirname "$0")/.."
folder=$(cd "$1" && pwd) python=$2 steps=${3:-3} threads=${4:-2} rounds=${5:-1}
read -r -a asg <<< "${ASG:-./asg}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/model"
for part in "$folder"/*; do
    case $(basename "$part") in
        tokenizer) mkdir "$work/model/tokenizer" ;;
        *) ln -s "$part" "$work/model/" ;;
    esac
done

timed() {
    local name=$1 took
    shift
    if took=$({ TIMEFORMAT='%R | %U | %S'; time "$@" > "$work/out" 2> "$work/err"; } 2>&1); then
        echo "| $name | $took |"
    else
        echo "| $name | failed: $(tail -n 1 "$work/err") |"
    fi
}

engine() {
    "${asg[@]}" generate --model "$work/model" --method direct --size 512x512 --steps "$steps" --scheduler ddim --prompt "a red ball on grass" \
        --guidance-scale 7.5 --seed 7 --devices cpu:1 --threads-per-worker "$threads" --precision "$1" --out "$work/picture.png"
}

peer() {
    (cd onnx-export && PYTHONPATH=. "$python" tests/torch_picture.py "$folder" --steps "$steps" --threads "$threads" --dtype "$1")
}

# its matrix products take weights of halves in what the CPU computes fastest, and sum up in fp32
cpp() {
    "$SD_CPP" -m "$SD_CPP_MODEL" --type "$1" -p "a red ball on grass" -W 512 -H 512 --steps "$steps" --cfg-scale 7.5 --seed 7 -t "$threads" -o "$work/cpp.png"
}

[ -n "${ASG:-}" ] || ./asg --version > /dev/null # builds
echo "$steps steps, $threads threads"
echo "| | wall s | user s | system s |"
echo "|---|---|---|---|"
for ((round = 0; round < rounds; round++)); do
    timed "asg4j fp32" engine fp32
    timed "diffusers float32" peer float32
    timed "asg4j bf16, compiled or opened" engine bf16
    timed "asg4j bf16, opened" engine bf16
    timed "diffusers bfloat16" peer bfloat16
    if [ -n "${SD_CPP:-}" ]; then
        for type in ${SD_CPP_TYPES:-f32 f16 bf16}; do
            timed "stable-diffusion.cpp $type" cpp "$type"
        done
    fi
done
