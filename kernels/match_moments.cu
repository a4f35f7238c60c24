// SPDX-License-Identifier: Apache-2.0
// out, in [count], from, to float64 [2]: values of the moments `from` get the moments `to` (§9). out may be in.
#include "asg_device.cuh"

ASG_KERNEL asg_match_moments_f32(float* out, const float* in, const double* __restrict__ from,
                                 const double* __restrict__ to, asg_i64 count) {
    const asg_affine f = asg_match(from, to);
    asg_for_each<4>(count, asg_aligned(out, in), [&](auto n, asg_i64 i) {
        float v[decltype(n)::value];
        asg_read(v, in + i);
        for (float& element : v) {
            element = element * f.scale + f.shift;
        }
        asg_write(out + i, v);
    });
}
