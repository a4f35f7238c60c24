// SPDX-License-Identifier: Apache-2.0
// out, planes pieces of [count] that begin pitch floats apart (§1): out[p * pitch + i] = scale * normal(first_element +
// p * pitch + i). The grid's y axis runs over the pieces. Bound by float64 arithmetic.
#include "asg_device.cuh"

ASG_KERNEL asg_normal_f32(float* out, int planes, asg_i64 pitch, asg_i64 count, asg_i64 seed,
                          asg_i64 first_element, int step, int purpose, float scale) {
    for (asg_i64 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const asg_i64 at = plane * pitch;
        asg_for_each<1>(count, false, [&](auto, asg_i64 i) {
            const asg_u64 element = (asg_u64)(first_element + at + i);
            out[at + i] = scale * asg_normal((asg_u64)seed, element, (asg_u32)step, (asg_u32)purpose);
        });
    }
}
