// SPDX-License-Identifier: Apache-2.0
// out, x, cond [count], uncond [count] or null: the key patch's noise estimate (space 1) or clean latents (space 2), §4.
#include "asg_device.cuh"

template <typename T>
ASG_FN void guide(float* out, const float* __restrict__ x, const T* __restrict__ uncond, const T* __restrict__ cond,
                  const asg_step& s, asg_i64 count, float guidance_scale, int space) {
    const bool packs = asg_aligned(out, x, uncond, cond);
    asg_for_each<asg_width<T>::value>(count, packs, [&](auto n, asg_i64 i) {
        constexpr int N = decltype(n)::value;
        float xs[N], us[N], ms[N];
        asg_read(xs, x + i);
        asg_read(ms, cond + i);
        if (uncond) {
            asg_read(us, uncond + i);
        }
        for (int k = 0; k < N; ++k) {
            const float m = uncond ? asg_guided(us[k], ms[k], guidance_scale) : ms[k];
            const float e = asg_noise_of(s, m, xs[k]);
            ms[k] = space == 2 ? asg_clean_of(s, e, xs[k]) : e;
        }
        asg_write(out + i, ms);
    });
}

ASG_KERNEL asg_guide_f32(float* out, const float* x, const float* uncond, const float* cond, asg_step step,
                         asg_i64 count, float guidance_scale, int space) {
    guide(out, x, uncond, cond, step, count, guidance_scale, space);
}

ASG_KERNEL asg_guide_f16(float* out, const float* x, const asg_half* uncond, const asg_half* cond, asg_step step,
                         asg_i64 count, float guidance_scale, int space) {
    guide(out, x, uncond, cond, step, count, guidance_scale, space);
}
