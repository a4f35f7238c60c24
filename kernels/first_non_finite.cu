// SPDX-License-Identifier: Apache-2.0
// out uint64 [1], set to `count` or more before: the index of the first NaN or infinity of data [count], if there is
// one. Atomics are reached only by threads that found one.
#include "asg_device.cuh"

ASG_KERNEL asg_first_non_finite_f32(asg_u64* out, const float* __restrict__ data, asg_i64 count) {
    asg_i64 found = count;
    asg_for_each<4>(count, asg_aligned(data), [&](auto n, asg_i64 i) {
        float v[decltype(n)::value];
        asg_read(v, data + i);
        for (int k = 0; k < decltype(n)::value; ++k) {
            found = !asg_finite(v[k]) && i + k < found ? i + k : found;
        }
    });
    if (found < count) {
        atomicMin(out, (asg_u64)found);
    }
}
