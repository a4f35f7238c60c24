#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# On a machine with an NVIDIA GPU: bytes per second of every kernel, latents of 64 MB, as a share of a copy on the same
# device, and the cost of a launch, into a copy of NOTES.md. Not run on a GPU yet: NOTES.md has no numbers of it.
set -eu
cd "$(dirname "$0")/../.."
. benchmarks/gpu/setup.sh
cp benchmarks/NOTES.md target/bandwidth.md
on_gpu io.github.asg4j.benchmarks.Report target/bandwidth.md 2048 cuda
