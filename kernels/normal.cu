// SPDX-License-Identifier: Apache-2.0
// out [count]: out[i] = scale * normal(first_element + i) (§1). Bound by float64 arithmetic.
#include "asg_device.cuh"

ASG_KERNEL asg_normal_f32(float* out, asg_i64 count, asg_i64 seed, asg_i64 first_element, int step, int purpose,
                          float scale) {
    asg_for_each<1>(count, false, [&](auto, asg_i64 i) {
        out[i] = scale * asg_normal((asg_u64)seed, (asg_u64)(first_element + i), (asg_u32)step, (asg_u32)purpose);
    });
}
