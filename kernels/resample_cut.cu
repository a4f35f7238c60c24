// SPDX-License-Identifier: Apache-2.0
// Resampling by tables along both axes (§9), with cut (§6) in one: patches [grid_height * grid_width, channels, h, w],
// in [channels, in_height, in_width]; index, weight [grid_height * h, taps_y] and [grid_width * w, taps_x]. For few taps:
// the pass along x is done once for each tap along y, in registers, in place of two more passes over the canvas.
#include "asg_device.cuh"

ASG_KERNEL asg_resample_cut_f32(float* patches, const float* __restrict__ in, const int* __restrict__ index_y,
                                const float* __restrict__ weight_y, const int* __restrict__ index_x,
                                const float* __restrict__ weight_x, int channels, int in_height, int in_width,
                                int grid_height, int grid_width, int h, int w, int taps_y, int taps_x) {
    asg_for_each<1>((asg_i64)grid_height * grid_width * channels * h * w, false, [&](auto, asg_i64 i) {
        const asg_i64 row = i / w, plane = row / h, patch = plane / channels, channel = plane % channels;
        const asg_i64 y = row % h * grid_height + patch / grid_width;
        const asg_i64 x = i % w * grid_width + patch % grid_width;
        patches[i] = asg_resampled_plane(in + channel * in_height * in_width, in_height, in_width, index_y + y * taps_y,
                                         weight_y + y * taps_y, taps_y, index_x + x * taps_x, weight_x + x * taps_x,
                                         taps_x);
    });
}
