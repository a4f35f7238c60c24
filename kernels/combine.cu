// SPDX-License-Identifier: Apache-2.0
// out, cond [count], uncond [count] or null: classifier-free guidance (§4). found uint64 [1] or null:
// lowered to the first element of which uncond or cond is not finite.
#include "asg_device.cuh"

ASG_KERNEL asg_combine_f32(float* out, asg_u64* found, const float* uncond, const float* cond,
                           asg_i64 count, float guidance_scale) {
    const bool packs = asg_aligned(out, uncond, cond);
    asg_u32 seen = 0;
    asg_for_each<4>(count, packs, [&](auto n, asg_i64 i) {
        constexpr int N = decltype(n)::value;
        float us[N], ms[N];
        asg_read(ms, cond + i);
        if (uncond) {
            asg_read(us, uncond + i);
            for (int k = 0; k < N; ++k) {
                ms[k] = asg_guided(us[k], ms[k], guidance_scale);
            }
        }
        for (int k = 0; k < N; ++k) {
            seen |= asg_non_finite(ms[k]);
        }
        asg_write(out + i, ms);
    });
    if (!found || !(seen >> 31)) {
        return;
    }
    // Rare: over the thread's elements once more.
    asg_i64 index = count;
    asg_for_each<4>(count, packs, [&](auto n, asg_i64 i) {
        const asg_i64 bad = asg_first_non_finite<decltype(n)::value>(uncond, cond, i, count);
        index = bad < index ? bad : index;
    });
    if (index < count) {
        atomicMin(found, (asg_u64)index);
    }
}
