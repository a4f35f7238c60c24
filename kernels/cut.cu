// SPDX-License-Identifier: Apache-2.0
// The inverse of relocate: patches [grid_height * grid_width, channels, h, w], canvas [channels, grid_height * h,
// grid_width * w].
#include "asg_grid.cuh"

ASG_KERNEL asg_cut_f32(float* patches, const float* __restrict__ canvas, int channels, int grid_height, int grid_width,
                       int h, int w) {
    asg_for_each_cell(channels, grid_height, grid_width, h, w,
                      [&](asg_i64 i, asg_i64 p) { patches[p] = canvas[i]; });
}
