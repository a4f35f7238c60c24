// SPDX-License-Identifier: Apache-2.0
// Classifier-free guidance, guidance by the key patch (Eq. 3/4) and scheduler step in one pass (§4): each tensor is read
// once and the result written once. out, x, cond [views, channels, area], out may be x; uncond alike or null;
// guide [channels, area]; mask [area], with mask_per_view [views, area], or null; noise like x or null. The grid's y axis
// runs over the planes, so that mask and guide need no division per element.
#include "asg_device.cuh"

template <typename T>
ASG_FN void guided_step(float* out, const float* x, const T* __restrict__ uncond, const T* __restrict__ cond,
                        const float* __restrict__ guide, const float* __restrict__ mask,
                        const float* __restrict__ noise, const asg_step& s, int views, int channels, asg_i64 area,
                        int mask_per_view, float guidance_scale, float weight, int space) {
    constexpr int width = asg_width<T>::value;
    const bool masked = mask && space != 0;
    const bool noisy = noise && s.step_n != 0.0f;
    const bool packs = asg_aligned(out, x, uncond, cond, guide, mask, noise) && area % width == 0;
    const asg_i64 planes = (asg_i64)views * channels;
    for (asg_i64 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const asg_i64 view = plane / channels;
        const asg_i64 at = plane * area;
        const asg_i64 guide_at = (plane - view * channels) * area;
        const asg_i64 mask_at = mask_per_view ? view * area : 0;
        asg_for_each<width>(area, packs, [&](auto n, asg_i64 i) {
            constexpr int N = decltype(n)::value;
            float xs[N], us[N], ms[N], gs[N], ws[N], ns[N];
            asg_read(xs, x + at + i);
            asg_read(ms, cond + at + i);
            if (uncond) {
                asg_read(us, uncond + at + i);
            }
            if (space != 0) {
                asg_read(gs, guide + guide_at + i);
            }
            if (masked) {
                asg_read(ws, mask + mask_at + i);
            }
            if (noisy) {
                asg_read(ns, noise + at + i);
            }
            for (int k = 0; k < N; ++k) {
                const float m = uncond ? asg_guided(us[k], ms[k], guidance_scale) : ms[k];
                float e = asg_noise_of(s, m, xs[k]);
                const float wm = masked ? weight * ws[k] : weight;
                if (space == 1) {
                    e = asg_pull_noise(e, gs[k], wm);
                } else if (space == 2) {
                    e = asg_pull_latent(s, e, xs[k], gs[k], wm);
                }
                const float next = asg_next(s, e, xs[k]);
                xs[k] = noisy ? next + s.step_n * ns[k] : next;
            }
            asg_write(out + at + i, xs);
        });
    }
}

ASG_KERNEL asg_guided_step_f32(float* out, const float* x, const float* uncond, const float* cond, const float* guide,
                               const float* mask, const float* noise, asg_step step, int views, int channels,
                               asg_i64 area, int mask_per_view, float guidance_scale, float weight, int space) {
    guided_step(out, x, uncond, cond, guide, mask, noise, step, views, channels, area, mask_per_view, guidance_scale,
                weight, space);
}

ASG_KERNEL asg_guided_step_f16(float* out, const float* x, const asg_half* uncond, const asg_half* cond,
                               const float* guide, const float* mask, const float* noise, asg_step step, int views,
                               int channels, asg_i64 area, int mask_per_view, float guidance_scale, float weight,
                               int space) {
    guided_step(out, x, uncond, cond, guide, mask, noise, step, views, channels, area, mask_per_view, guidance_scale,
                weight, space);
}
