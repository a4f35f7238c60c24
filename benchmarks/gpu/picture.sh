#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A picture on the first GPU beside cpu:1: how far it differs, whether one and two streams give the same bytes, and the share
# of the kernels between two UNet calls: benchmarks/gpu/picture.sh [MODEL]. Not run on a GPU yet.
set -eu
cd "$(dirname "$0")/../.."
. benchmarks/gpu/setup.sh
on_gpu io.github.asg4j.benchmarks.GpuPicture "$@"
