// SPDX-License-Identifier: Apache-2.0
// Classifier-free guidance, guidance by the key patch (Eq. 3/4) and scheduler step in one pass (§4): each tensor is read
// once and each result written once. out, x, cond [views, channels, area], out may be x; uncond alike or null;
// guide [channels, area], with guide_per_view [views, channels, area], or null; mask [area], with mask_per_view
// [views, area], or null; noise like x or null. keyed: view 0 is the key patch, which is not guided and leaves its guide
// in guide_out [channels, area], or null. found uint64 [1] or null: lowered to the first element of which uncond or cond
// is not finite. clean like x or null: receives the predicted clean latents, after guidance; past1, past2, past3 like x,
// those of the steps before, null where step_past is 0. The grid's y axis runs over the channels and z over the views, so that mask and guide need no division
// per element. Where guide is guide_out, the guide of this pass, a thread takes its cells through all views and keeps
// the guide in registers.
#include "asg_device.cuh"

ASG_KERNEL asg_guided_step_f32(float* out, float* guide_out, asg_u64* found, float* clean, const float* x,
                               const float* __restrict__ uncond, const float* __restrict__ cond,
                               const float* __restrict__ guide, const float* __restrict__ mask,
                               const float* __restrict__ noise, const float* __restrict__ past1,
                               const float* __restrict__ past2, const float* __restrict__ past3, asg_step s, int views,
                               int channels, asg_i64 area, int keyed, int guide_per_view, int mask_per_view,
                               float guidance_scale, float weight, int space) {
    const bool masked = mask && space != 0;
    const bool noisy = noise && s.step_n != 0.0f;
    // One cell at a time with a history: packs of it want more registers than there are for a full multiprocessor.
    const bool remembers = clean || s.step_past[0] != 0.0f || s.step_past[1] != 0.0f || s.step_past[2] != 0.0f;
    const bool packs = asg_aligned(out, guide_out, x, uncond, cond, guide, mask, noise) && area % 4 == 0 && !remembers;
    const bool own = guide_out && guide == guide_out;
    const asg_i64 first = blockIdx.z, stride = own ? 1 : gridDim.z;
    if (own && first != 0) {
        return;
    }
    asg_u32 seen = 0;
    for (asg_i64 c = blockIdx.y; c < channels; c += gridDim.y) {
        asg_for_each<4>(area, packs, [&](auto n, asg_i64 i) {
            constexpr int N = decltype(n)::value;
            float gs[N] = {};
            for (asg_i64 view = first; view < views; view += stride) {
                const bool key = keyed && view == 0;
                const bool guided = !key && space != 0;
                const asg_i64 at = (view * channels + c) * area + i;
                float xs[N], us[N], ms[N], ws[N], ns[N];
                asg_read(xs, x + at);
                asg_read(ms, cond + at);
                if (uncond) {
                    asg_read(us, uncond + at);
                }
                if (guided && !own) {
                    asg_read(gs, guide + (guide_per_view ? at : c * area + i));
                }
                if (guided && masked) {
                    asg_read(ws, mask + (mask_per_view ? view * area : 0) + i);
                }
                if (noisy) {
                    asg_read(ns, noise + at);
                }
                for (int k = 0; k < N; ++k) {
                    const float m = uncond ? asg_guided(us[k], ms[k], guidance_scale) : ms[k];
                    float e = asg_noise_of(s, m, xs[k]);
                    if (key) {
                        gs[k] = space == 2 ? asg_clean_of(s, e, xs[k]) : e;
                    }
                    if (guided) {
                        const float wm = masked ? weight * ws[k] : weight;
                        e = space == 1 ? asg_pull_noise(e, gs[k], wm) : asg_pull_latent(s, e, xs[k], gs[k], wm);
                    }
                    if (N == 1 && clean) {
                        clean[at] = asg_kept_of(s, e, xs[k]);
                    }
                    float next = asg_next(s, e, xs[k]);
                    if (N == 1) {
                        next = asg_with_past(next, s.step_past[0], past1, at);
                        next = asg_with_past(next, s.step_past[1], past2, at);
                        next = asg_with_past(next, s.step_past[2], past3, at);
                    }
                    xs[k] = noisy ? next + s.step_n * ns[k] : next;
                    seen |= asg_non_finite(xs[k]);
                }
                asg_write(out + at, xs);
                if (key && guide_out) {
                    asg_write(guide_out + c * area + i, gs);
                }
            }
        });
    }
    if (!found || !(seen >> 31)) {
        return;
    }
    // Rare: over the thread's elements once more.
    const asg_i64 none = (asg_i64)views * channels * area;
    asg_i64 index = none;
    for (asg_i64 c = blockIdx.y; c < channels; c += gridDim.y) {
        asg_for_each<4>(area, packs, [&](auto n, asg_i64 i) {
            for (asg_i64 view = first; view < views; view += stride) {
                const asg_i64 at = (view * channels + c) * area + i;
                const asg_i64 bad = asg_first_non_finite<decltype(n)::value>(uncond, cond, at, none);
                index = bad < index ? bad : index;
            }
        });
    }
    if (index < none) {
        atomicMin(found, (asg_u64)index);
    }
}
