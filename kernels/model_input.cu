// SPDX-License-Identifier: Apache-2.0
// out [copies, count], in [count]: scale * in, copies times (§2). Reads each latent once.
#include "asg_device.cuh"

ASG_KERNEL asg_model_input_f32(float* out, const float* __restrict__ in, asg_i64 count, int copies, float scale) {
    const bool packs = asg_aligned(out, in) && (copies == 1 || count % 4 == 0);
    asg_for_each<4>(count, packs, [&](auto n, asg_i64 i) {
        float v[decltype(n)::value];
        asg_read(v, in + i);
        for (float& element : v) {
            element = element * scale;
        }
        for (int copy = 0; copy < copies; ++copy) {
            asg_write(out + copy * count + i, v);
        }
    });
}
