#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Where the time of a bundle's network goes on the CPU, operator by operator, against the floors of this machine:
#   benchmarks/operators.sh BUNDLE PYTHON [--graph decoder] [--side N] [--threads N] [--runs N]
# PYTHON has onnxruntime and onnx. `./asg bundle FILE.safetensors --out BUNDLE` makes a bundle of a published file, of random weights too.
set -eu
[ $# -ge 2 ] || { sed -n '3,5p' "$0" >&2; exit 2; }
bundle=$(cd "$1" && pwd) python=$2
shift 2
cd "$(dirname "$0")/../onnx-export"
exec "$python" tests/operators.py "$bundle" "$@"
