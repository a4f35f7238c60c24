// SPDX-License-Identifier: Apache-2.0
// sum [channels, area], weight_sum [area]: sum / weight_sum in place. The grid's y axis runs over the channels.
#include "asg_device.cuh"

ASG_KERNEL asg_divide_tiles_f32(float* sum, const float* __restrict__ weight_sum, int channels, asg_i64 area) {
    const bool packs = asg_aligned(sum, weight_sum) && area % 4 == 0;
    for (asg_i64 c = blockIdx.y; c < channels; c += gridDim.y) {
        asg_for_each<4>(area, packs, [&](auto n, asg_i64 i) {
            float v[decltype(n)::value], by[decltype(n)::value];
            asg_read(v, sum + c * area + i);
            asg_read(by, weight_sum + i);
            for (int k = 0; k < decltype(n)::value; ++k) {
                v[k] = v[k] / by[k];
            }
            asg_write(sum + c * area + i, v);
        });
    }
}
