// SPDX-License-Identifier: Apache-2.0
// out, x, y [count]: a * x + b * y (§9). out may be x or y.
#include "asg_device.cuh"

ASG_KERNEL asg_blend_f32(float* out, const float* x, const float* y, asg_i64 count, float a, float b) {
    asg_for_each<4>(count, asg_aligned(out, x, y), [&](auto n, asg_i64 i) {
        float xs[decltype(n)::value], ys[decltype(n)::value];
        asg_read(xs, x + i);
        asg_read(ys, y + i);
        for (int k = 0; k < decltype(n)::value; ++k) {
            xs[k] = asg_blend(xs[k], ys[k], a, b);
        }
        asg_write(out + i, xs);
    });
}
