// SPDX-License-Identifier: Apache-2.0
// out, in [count]: in * scale + shift (§8). out may be in.
#include "asg_device.cuh"

ASG_KERNEL asg_scale_shift_f32(float* out, const float* in, asg_i64 count, float scale, float shift) {
    asg_for_each<4>(count, asg_aligned(out, in), [&](auto n, asg_i64 i) {
        float v[decltype(n)::value];
        asg_read(v, in + i);
        for (float& element : v) {
            element = element * scale + shift;
        }
        asg_write(out + i, v);
    });
}
