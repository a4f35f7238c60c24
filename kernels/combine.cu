// SPDX-License-Identifier: Apache-2.0
// out [count] float32, cond [count], uncond [count] or null: classifier-free guidance (§4). found uint64 [1] or null:
// lowered to the first element of which uncond or cond is not finite.
#include "asg_device.cuh"

template <typename T>
ASG_FN void combine(float* __restrict__ out, asg_u64* found, const T* __restrict__ uncond, const T* __restrict__ cond,
                    asg_i64 count, float guidance_scale) {
    asg_for_each<asg_width<T>::value>(count, asg_aligned(out, uncond, cond), [&](auto n, asg_i64 i) {
        constexpr int N = decltype(n)::value;
        float us[N], ms[N];
        asg_read(ms, cond + i);
        if (uncond) {
            asg_read(us, uncond + i);
            for (int k = 0; k < N; ++k) {
                ms[k] = asg_guided(us[k], ms[k], guidance_scale);
            }
        }
        asg_write(out + i, ms);
        asg_search(found, ms, uncond, cond, i);
    });
}

ASG_KERNEL asg_combine_f32(float* out, asg_u64* found, const float* uncond, const float* cond, asg_i64 count,
                           float guidance_scale) {
    combine(out, found, uncond, cond, count, guidance_scale);
}

ASG_KERNEL asg_combine_f16(float* out, asg_u64* found, const asg_half* uncond, const asg_half* cond, asg_i64 count,
                           float guidance_scale) {
    combine(out, found, uncond, cond, count, guidance_scale);
}
