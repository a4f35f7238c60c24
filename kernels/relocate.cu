// SPDX-License-Identifier: Apache-2.0
// canvas [channels, grid_height * h, grid_width * w], patches [grid_height * grid_width, channels, h, w] (§6): patches
// become phases of the canvas, written in the canvas's order.
#include "asg_grid.cuh"

ASG_KERNEL asg_relocate_f32(float* canvas, const float* __restrict__ patches, int channels, int grid_height,
                            int grid_width, int h, int w) {
    asg_for_each_cell(channels, grid_height, grid_width, h, w,
                      [&](asg_i64 i, asg_i64 p) { canvas[i] = patches[p]; });
}
