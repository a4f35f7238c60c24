// SPDX-License-Identifier: Apache-2.0
// Patches as phases of a canvas (§6).
#ifndef ASG_GRID_CUH
#define ASG_GRID_CUH

#include "asg_device.cuh"

// Calls copy(canvas index, patch index) for every cell of the canvas; neighbouring threads take neighbouring cells.
template <typename Copy>
ASG_FN void asg_for_each_cell(int channels, int grid_height, int grid_width, int h, int w, Copy copy) {
    const asg_i64 width = (asg_i64)grid_width * w;
    const asg_i64 height = (asg_i64)grid_height * h;
    asg_for_each<1>(channels * height * width, false, [&](auto, asg_i64 i) {
        const asg_i64 x = i % width, row = i / width;
        const asg_i64 y = row % height, c = row / height;
        const asg_i64 patch = (y % grid_height) * grid_width + x % grid_width;
        copy(i, ((patch * channels + c) * h + y / grid_height) * w + x / grid_width);
    });
}

#endif
