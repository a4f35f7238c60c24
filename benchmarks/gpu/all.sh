#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All that is measured and checked on a GPU, one after the other: benchmarks/gpu/all.sh RESULTS [PYTHON]. What each script prints is also in
# RESULTS/NAME.txt, with its exit status in the last line; one that fails does not keep the others from running. PYTHON: see unet.sh.
set -u
[ $# -ge 1 ] || { echo "usage: all.sh RESULTS [PYTHON]" >&2; exit 2; }
here=$(dirname "$0")
results=$1
python=${2:-}
mkdir -p "$results" || exit 1
failed=0
nvidia-smi > "$results/gpu.txt" 2>&1
for name in parity picture unet bandwidth; do
    started=$(date +%s)
    set --
    # The argument of picture.sh is a model.
    [ $name != unet ] || [ -z "$python" ] || set -- "$python"
    sh "$here/$name.sh" "$@" > "$results/$name.txt" 2>&1
    status=$?
    [ $status -eq 0 ] || failed=1
    echo "exit $status after $(($(date +%s) - started)) s" >> "$results/$name.txt"
    echo "== $name"
    cat "$results/$name.txt"
done
exit $failed
