// SPDX-License-Identifier: Apache-2.0
// out [count] float32, cond [count], uncond [count] or null: classifier-free guidance (§4). With _f32, out may be uncond
// or cond.
#include "asg_device.cuh"

template <typename T>
ASG_FN void combine(float* out, const T* uncond, const T* cond, asg_i64 count, float guidance_scale) {
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
    });
}

ASG_KERNEL asg_combine_f32(float* out, const float* uncond, const float* cond, asg_i64 count, float guidance_scale) {
    combine(out, uncond, cond, count, guidance_scale);
}

ASG_KERNEL asg_combine_f16(float* out, const asg_half* uncond, const asg_half* cond, asg_i64 count,
                           float guidance_scale) {
    combine(out, uncond, cond, count, guidance_scale);
}
