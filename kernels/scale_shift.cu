// SPDX-License-Identifier: Apache-2.0
// out, in [count]: in * scale + shift (§8); with _f32, out may be in.
#include "asg_device.cuh"

template <typename T>
ASG_FN void scale_shift(T* out, const float* in, asg_i64 count, float scale, float shift) {
    asg_for_each<asg_width<T>::value>(count, asg_aligned(out, in), [&](auto n, asg_i64 i) {
        float v[decltype(n)::value];
        asg_read(v, in + i);
        for (float& element : v) {
            element = element * scale + shift;
        }
        asg_write(out + i, v);
    });
}

ASG_KERNEL asg_scale_shift_f32(float* out, const float* in, asg_i64 count, float scale, float shift) {
    scale_shift(out, in, count, scale, shift);
}

ASG_KERNEL asg_scale_shift_f16(asg_half* out, const float* in, asg_i64 count, float scale, float shift) {
    scale_shift(out, in, count, scale, shift);
}
