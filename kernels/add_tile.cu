// SPDX-License-Identifier: Apache-2.0
// sum [channels, height, width], weight_sum [height, width], tile [channels, tile_height, tile_width] wholly inside,
// weight_y [tile_height], weight_x [tile_width]: adds weight * tile and weight. Tiles of one picture follow each other on
// a stream, so the order of the sums is theirs.
#include "asg_device.cuh"

ASG_KERNEL asg_add_tile_f32(float* sum, float* weight_sum, const float* __restrict__ tile,
                            const float* __restrict__ weight_y, const float* __restrict__ weight_x, int channels,
                            int height, int width, int top, int left, int tile_height, int tile_width) {
    const asg_i64 area = (asg_i64)height * width;
    const asg_i64 tile_area = (asg_i64)tile_height * tile_width;
    asg_for_each<1>(tile_area, false, [&](auto, asg_i64 i) {
        const asg_i64 y = i / tile_width, x = i % tile_width;
        const asg_i64 at = (top + y) * width + left + x;
        const float weight = weight_y[y] * weight_x[x];
        weight_sum[at] += weight;
        for (int c = 0; c < channels; ++c) {
            sum[c * area + at] += weight * tile[c * tile_area + i];
        }
    });
}
