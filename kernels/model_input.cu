// SPDX-License-Identifier: Apache-2.0
// out [copies, count], in [count]: scale * in, copies times (§2). Reads each latent once.
#include "asg_device.cuh"

template <typename T>
ASG_FN void model_input(T* out, const float* __restrict__ in, asg_i64 count, int copies, float scale) {
    constexpr int width = asg_width<T>::value;
    const bool packs = asg_aligned(out, in) && (copies == 1 || count % width == 0);
    asg_for_each<width>(count, packs, [&](auto n, asg_i64 i) {
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

ASG_KERNEL asg_model_input_f32(float* out, const float* in, asg_i64 count, int copies, float scale) {
    model_input(out, in, count, copies, scale);
}

ASG_KERNEL asg_model_input_f16(asg_half* out, const float* in, asg_i64 count, int copies, float scale) {
    model_input(out, in, count, copies, scale);
}
