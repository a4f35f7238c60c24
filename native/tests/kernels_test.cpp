// SPDX-License-Identifier: Apache-2.0
// Every kernel of every instruction set that this CPU has, at odd sizes, in buffers of exactly the right size, against
// the scalar one bit by bit; and every status. Values are tested from Java. Worth most under -DASG_SANITIZE=ON, which
// catches reads and writes beside a buffer and undefined behaviour.
#include <stdint.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "../../kernels/include/asg_math.cuh"
#include "asg_cpu.h"

namespace {

int failures = 0;

void expect(bool good, const char* what, int64_t size) {
    if (!good) {
        std::fprintf(stderr, "failed: %s (size %lld)\n", what, (long long)size);
        ++failures;
    }
}

// Heap memory of exactly `count` floats, so that a sanitizer sees the first byte beyond.
class Floats {
public:
    explicit Floats(int64_t count, uint64_t seed = 0) : count_(count), data_(new float[(size_t)count]) {
        for (int64_t i = 0; i < count; ++i) {
            data_[(size_t)i] = asg_normal(seed, (uint64_t)i, 0, 0);
        }
    }

    float* get() const { return data_.get(); }
    size_t bytes() const { return (size_t)count_ * sizeof(float); }

private:
    int64_t count_;
    std::unique_ptr<float[]> data_;
};

std::vector<int32_t> tiers() {
    std::vector<int32_t> all;
    for (int32_t tier = ASG_SCALAR; tier <= ASG_AVX512; ++tier) {
        if (asg_tier_supported(tier) == 1) {
            all.push_back(tier);
        }
    }
    return all;
}

// Runs a kernel into a fresh output per tier; all have to be what the scalar tier gives.
void same(const char* what, int64_t out_count, int64_t size, const std::function<int32_t(int32_t, float*)>& call) {
    const Floats expected(out_count, 99);
    expect(call(ASG_SCALAR, expected.get()) == ASG_OK, what, size);
    for (int32_t tier : tiers()) {
        const Floats out(out_count, 99);
        expect(call(tier, out.get()) == ASG_OK, what, size);
        expect(std::memcmp(out.get(), expected.get(), out.bytes()) == 0, what, size);
    }
}

asg_step step_row(bool noise, bool history = false) {
    asg_step s = {};
    s.alpha = 0.6f;
    s.sigma = 0.8f;
    s.in_scale = 0.7f;
    s.pred_m = 0.9f;
    s.pred_x = 0.1f;
    s.step_x = 1.01f;
    s.step_e = -0.3f;
    s.step_n = noise ? 0.2f : 0.0f;
    s.inv_alpha = 1.0f / s.alpha;
    s.kappa = s.alpha / s.sigma;
    s.step_past[0] = history ? -0.4f : 0.0f;
    s.step_past[2] = history ? 0.25f : 0.0f;
    return s;
}

void elementwise(int64_t n) {
    const Floats a(n, 1), b(n, 2), c(n, 3);
    const asg_step plain = step_row(false), noisy = step_row(true);
    same("normal", n, n, [&](int32_t t, float* out) { return asg_normal_f32(t, out, 1, n, n, -7, 1LL << 40, 3, 1, 2.5f); });
    same("normal of rows", 3 * n, n, [&](int32_t t, float* out) { return asg_normal_f32(t, out, 2, 2 * n, n, 7, 5, 3, 1, 2.5f); });
    same("model_input", 3 * n, n,
         [&](int32_t t, float* out) { return asg_model_input_f32(t, out, a.get(), n, 3, 0.3f); });
    same("combine", n, n,
         [&](int32_t t, float* out) { return asg_combine_f32(t, out, nullptr, a.get(), b.get(), n, 7.5f); });
    same("combine without uncond", n, n,
         [&](int32_t t, float* out) { return asg_combine_f32(t, out, nullptr, nullptr, b.get(), n, 2); });
    same("scale_shift", n, n, [&](int32_t t, float* out) { return asg_scale_shift_f32(t, out, out, n, 5.5f, 0.1f); });
    const Floats x(6 * n, 5), uncond(6 * n, 6), cond(6 * n, 7), noise(6 * n, 8), guide(6 * n, 9), mask(2 * n, 10),
        past(6 * n, 12);
    for (int32_t space = ASG_GUIDE_NONE; space <= ASG_GUIDE_LATENT; ++space) {
        for (int variant = 0; variant < 64; ++variant) {
            const bool keyed = variant & 8, published = keyed && (variant & 16) && space != ASG_GUIDE_NONE;
            const bool per_view = variant & 32;
            // The guide lies behind the latents; where it is published and the only one, it guides view 1 at once.
            same("guided_step", 9 * n, n, [&](int32_t t, float* out) {
                float* const guide_out = published ? out + 6 * n : nullptr;
                return asg_guided_step_f32(t, out, guide_out, nullptr, nullptr, variant & 1 ? x.get() : out,
                                           variant & 2 ? uncond.get() : nullptr, cond.get(),
                                           published && !per_view ? guide_out : guide.get(),
                                           variant & 4 ? mask.get() : nullptr, variant & 1 ? noise.get() : nullptr,
                                           nullptr, nullptr, nullptr, variant & 1 ? &noisy : &plain, 2, 3, n, keyed,
                                           per_view, 1, 5, 0.9f, space);
            });
            const asg_step remembers = step_row(variant & 1, true);
            same("guided_step with a history", 15 * n, n, [&](int32_t t, float* out) {
                float* const guide_out = published ? out + 12 * n : nullptr;
                return asg_guided_step_f32(t, out, guide_out, nullptr, variant & 1 ? out + 6 * n : nullptr,
                                           variant & 1 ? x.get() : out, variant & 2 ? uncond.get() : nullptr,
                                           cond.get(), published && !per_view ? guide_out : guide.get(),
                                           variant & 4 ? mask.get() : nullptr, variant & 1 ? noise.get() : nullptr,
                                           past.get(), nullptr, noise.get(), &remembers, 2, 3, n, keyed, per_view, 1,
                                           5, 0.9f, space);
            });
        }
    }
    for (int32_t norm = ASG_NORM_MINMAX; norm <= ASG_NORM_MEAN_THRESHOLD; ++norm) {
        same("normalise_mask", 2 * n, n,
             [&](int32_t t, float* out) { return asg_normalise_mask_f32(t, out, 2, n, 3, norm); });
    }
    same("blend", n, n, [&](int32_t t, float* out) { return asg_blend_f32(t, out, out, b.get(), n, 0.3f, -1.2f); });
    const std::unique_ptr<double[]> from(new double[2]{0.1, 0.7}), to(new double[2]{-0.2, 1.9});
    same("moments", 4, n, [&](int32_t t, float* out) {
        const std::unique_ptr<double[]> found(new double[2]);
        const int32_t status = asg_moments_f32(t, found.get(), a.get(), n);
        std::memcpy(out, found.get(), 2 * sizeof(double));
        return status;
    });
    same("match_moments", n, n,
         [&](int32_t t, float* out) { return asg_match_moments_f32(t, out, out, from.get(), to.get(), n); });
    same("divide_tiles", 2 * n, n, [&](int32_t t, float* out) { return asg_divide_tiles_f32(t, out, a.get(), 2, n); });
    for (int32_t t : tiers()) {
        expect(asg_first_non_finite_f32(t, a.get(), n) == n, "first_non_finite", n);
        const Floats bad(n, 11);
        bad.get()[n - 1] = __builtin_inff();
        expect(asg_first_non_finite_f32(t, bad.get(), n) == n - 1, "first_non_finite at the end", n);
        const Floats out(n);
        int64_t found = n + 7;
        asg_combine_f32(t, out.get(), &found, a.get(), b.get(), n, 7.5f);
        expect(found == n + 7, "combine of finite values", n);
        asg_combine_f32(t, out.get(), &found, bad.get(), b.get(), n, 7.5f);
        expect(found == n - 1, "combine of an infinity at the end", n);
        found = n + 7;
        asg_guided_step_f32(t, out.get(), nullptr, &found, nullptr, a.get(), b.get(), bad.get(), nullptr, nullptr,
                            nullptr, nullptr, nullptr, nullptr, &plain, 1, 1, n, 0, 0, 0, 5, 1, ASG_GUIDE_NONE);
        expect(found == n - 1, "guided_step of an infinity at the end", n);
        found = n + 7;
        const Floats clean(n);
        asg_guided_step_f32(t, out.get(), nullptr, &found, clean.get(), a.get(), b.get(), bad.get(), nullptr, nullptr,
                            nullptr, nullptr, nullptr, nullptr, &plain, 1, 1, n, 0, 0, 0, 5, 1, ASG_GUIDE_NONE);
        expect(found == n - 1, "guided_step with a history of an infinity at the end", n);
        found = 0;
        asg_combine_f32(t, out.get(), &found, bad.get(), b.get(), n, 7.5f);
        expect(found == 0, "found is only lowered", n);
    }
}

void planes(int32_t h, int32_t w) {
    const int64_t size = h * 1000 + w;
    const int32_t patches = 6, channels = 2;
    const int64_t plane = (int64_t)channels * h * w;
    const Floats x(patches * plane, 1);
    same("interact", 3 * plane, size, [&](int32_t t, float* out) {
        return asg_interact_f32(t, out, nullptr, x.get(), 2, 3, patches, plane, 7, 4, 5, 0, 1);
    });
    same("interact with input", 9 * plane, size, [&](int32_t t, float* out) {
        return asg_interact_f32(t, out, out + 3 * plane, x.get(), 2, 3, patches, plane, 7, 4, 5, 2, 0.3f);
    });
    same("relocate", patches * plane, size,
         [&](int32_t t, float* out) { return asg_relocate_f32(t, out, x.get(), channels, 2, 3, h, w); });
    same("cut", patches * plane, size,
         [&](int32_t t, float* out) { return asg_cut_f32(t, out, x.get(), channels, 2, 3, h, w); });
    const Floats map(2 * 5 * 3, 2);
    same("add_map", 2 * h * w, size,
         [&](int32_t t, float* out) { return asg_add_map_f32(t, out, map.get(), 2, h, w, 5, 3, 0); });

    // Windows that hang over the borders or lie outside.
    const std::unique_ptr<int32_t[]> starts(new int32_t[10]{-1, -2, 0, 0, h - 1, w - 1, -h - 9, 2, 0, INT32_MAX});
    const Floats canvas(plane, 3);
    same("gather_windows", 2 * 5 * channels * 9 * 19, size, [&](int32_t t, float* out) {
        return asg_gather_windows_f32(t, out, canvas.get(), starts.get(), channels, h, w, 5, 9, 19, 2, 0.4f);
    });

    // Two windows of one more row and column each: every cell but the last column and row has both.
    const asg_step noisy = step_row(true);
    const std::unique_ptr<int32_t[]> covering(new int32_t[4]{-1, -1, 0, 0});
    const Floats windows(2 * channels * (h + 1) * (w + 1), 7), weight_y(h + 1, 8), weight_x(w + 1, 9);
    same("window_step", plane, size, [&](int32_t t, float* out) {
        return asg_window_step_f32(t, out, nullptr, out, windows.get(), covering.get(), weight_y.get(), weight_x.get(),
                                   canvas.get(), nullptr, nullptr, nullptr, &noisy, channels, h, w, 0, h, 2, h + 1,
                                   w + 1);
    });
    same("window_step of rows", plane, size, [&](int32_t t, float* out) {
        return asg_window_step_f32(t, out, nullptr, canvas.get(), windows.get(), covering.get(), weight_y.get(),
                                   weight_x.get(), canvas.get(), nullptr, nullptr, nullptr, &noisy, channels, h, w,
                                   h / 2, h - h / 2, 2, h + 1, w + 1);
    });
    const asg_step remembers = step_row(true, true);
    const Floats past(plane, 17);
    same("window_step with a history", 2 * plane, size, [&](int32_t t, float* out) {
        return asg_window_step_f32(t, out, out + plane, out, windows.get(), covering.get(), weight_y.get(),
                                   weight_x.get(), canvas.get(), past.get(), nullptr, canvas.get(), &remembers,
                                   channels, h, w, h / 2, h - h / 2, 2, h + 1, w + 1);
    });

    const Floats tile(plane, 10), rows(h, 11), columns(w, 12);
    same("add_tile", (int64_t)channels * (h + 2) * (w + 3), size, [&](int32_t t, float* out) {
        const Floats weight_sum((h + 2) * (w + 3), 13);
        return asg_add_tile_f32(t, out, weight_sum.get(), tile.get(), rows.get(), columns.get(), channels, h + 2,
                                w + 3, 2, 3, h, w);
    });

    for (int32_t taps : {1, 5, 15}) {
        const Floats weights(taps, 15);
        same("blur", plane, size, [&](int32_t t, float* out) {
            const Floats work(plane);
            return asg_blur_f32(t, out, work.get(), canvas.get(), weights.get(), channels, h, w, taps);
        });
    }

    const Floats weights(4 * 11, 16);
    const std::unique_ptr<int32_t[]> index(new int32_t[4 * 11]);
    for (int32_t i = 0; i < 4 * 11; ++i) {
        index[(size_t)i] = i % 13 == 0 ? INT32_MIN : i % 13 == 1 ? INT32_MAX : i % 13 - 3;
    }
    same("resample", channels * 11 * 9, size, [&](int32_t t, float* out) {
        const Floats work(channels * h * 9);
        return asg_resample_f32(t, out, work.get(), canvas.get(), index.get(), weights.get(), index.get(),
                                weights.get(), channels, h, w, 11, 9, 4, 4);
    });

    const Floats image(3 * h * w, 14);
    const size_t bytes = (size_t)(3 * h * w);
    const std::unique_ptr<uint8_t[]> expected(new uint8_t[bytes]);
    expect(asg_rgb8_f32(ASG_SCALAR, expected.get(), image.get(), h, w, 0, 0, h, w) == ASG_OK, "rgb8", size);
    for (int32_t t : tiers()) {
        const std::unique_ptr<uint8_t[]> out(new uint8_t[bytes]);
        expect(asg_rgb8_f32(t, out.get(), image.get(), h, w, 0, 0, h, w) == ASG_OK, "rgb8", size);
        expect(std::memcmp(out.get(), expected.get(), bytes) == 0, "rgb8", size);
    }
}

// Known answers of Random123 (philox4x32 10).
void philox() {
    const asg_words zero = asg_philox({0, 0, 0, 0}, 0, 0);
    expect(zero.r0 == 0x6627e8d5 && zero.r1 == 0xe169c58d && zero.r2 == 0xbc57ac4c && zero.r3 == 0x9b00dbd8,
           "philox of zeros", 0);
    const asg_words pi = asg_philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0);
    expect(pi.r0 == 0xd16cfe09 && pi.r1 == 0x94fdcceb && pi.r2 == 0x5001e420 && pi.r3 == 0x24126ea1, "philox of pi",
           0);
}

void statuses() {
    const Floats a(4);
    float* const p = a.get();
    const asg_step noisy = step_row(true);
    const int32_t s = ASG_SCALAR;
    expect(asg_abi_version() == ASG_CPU_ABI_VERSION, "ABI version", 0);
    expect(asg_scale_shift_f32(s, nullptr, p, 4, 1, 1) == ASG_NULL_POINTER, "null output", 0);
    expect(asg_scale_shift_f32(s, p, p, 0, 1, 1) == ASG_BAD_EXTENT, "extent 0", 0);
    expect(asg_scale_shift_f32(s, p, p, -1, 1, 1) == ASG_BAD_EXTENT, "extent -1", 0);
    expect(asg_scale_shift_f32(s, p, p, INT64_MAX / 2, 1, 1) == ASG_TOO_LARGE, "bytes overflow", 0);
    expect(asg_cut_f32(s, p, p, INT32_MAX, INT32_MAX, 1, INT32_MAX, 1) == ASG_TOO_LARGE, "product overflows", 0);
    expect(asg_scale_shift_f32(7, p, p, 4, 1, 1) == ASG_UNKNOWN_TIER, "tier 7", 0);
    expect(asg_scale_shift_f32(-1, p, p, 4, 1, 1) == ASG_UNKNOWN_TIER, "tier -1", 0);
    expect(asg_tier_supported(3) == ASG_UNKNOWN_TIER, "support of tier 3", 0);
    expect(asg_interact_f32(s, p, nullptr, p, 0, 1, 257, 1, 0, 0, 0, 1, 1) == ASG_BAD_OPTION, "257 patches", 0);
    expect(asg_interact_f32(s, p, nullptr, p, 3, 2, 4, 1, 0, 0, 0, 1, 1) == ASG_BAD_OPTION, "slots beyond the last", 0);
    expect(asg_normalise_mask_f32(s, p, 1, 4, 1, 3) == ASG_BAD_OPTION, "norm 3", 0);
    expect(asg_rgb8_f32(s, (uint8_t*)p, p, 1, 1, 0, 1, 1, 1) == ASG_BAD_OPTION, "crop outside", 0);
    expect(asg_blur_f32(s, p, p, p, p, 1, 1, 1, 2) == ASG_BAD_OPTION, "even taps", 0);
    const auto step = [&](float* guide_out, const float* guide, const float* noise, const float* past2,
                          const asg_step& row, bool keyed, bool per_view, int32_t space) {
        return asg_guided_step_f32(s, p, guide_out, nullptr, nullptr, p, nullptr, p, guide, nullptr, noise, nullptr,
                                   past2, nullptr, &row, 1, 1, 4, keyed, per_view, 0, 1, 1, space);
    };
    expect(step(nullptr, nullptr, nullptr, nullptr, noisy, false, false, ASG_GUIDE_NONE) == ASG_BAD_OPTION,
           "noise missing", 0);
    expect(step(nullptr, nullptr, p, nullptr, noisy, false, false, ASG_GUIDE_NOISE) == ASG_BAD_OPTION, "guide missing",
           0);
    expect(step(p, p, p, nullptr, noisy, false, false, ASG_GUIDE_NOISE) == ASG_BAD_OPTION, "guide of no key patch", 0);
    expect(step(p, p, p, nullptr, noisy, true, true, ASG_GUIDE_NOISE) == ASG_BAD_OPTION,
           "guides per view in guide_out", 0);
    asg_step second = step_row(false);
    second.step_past[1] = 0.5f;
    expect(step(nullptr, nullptr, nullptr, nullptr, second, false, false, ASG_GUIDE_NONE) == ASG_BAD_OPTION,
           "past prediction missing", 0);
    expect(step(nullptr, nullptr, nullptr, p, second, false, false, ASG_GUIDE_NONE) == ASG_OK, "past prediction", 0);
    expect(asg_interact_f32(s, p, p, p, 0, 1, 4, 1, 0, 0, 0, 0, 1) == ASG_BAD_EXTENT, "no copies", 0);
    expect(std::strcmp(asg_status_name(ASG_TOO_LARGE), "ASG_TOO_LARGE") == 0, "status name", 0);
    expect(std::strcmp(asg_status_name(1), "unknown status") == 0, "name of no status", 0);
}

}  // namespace

int main() {
    philox();
    statuses();
    for (int64_t n : {1, 3, 7, 8, 15, 16, 17, 31, 33, 257, 4099}) {
        elementwise(n);
    }
    for (int32_t h : {1, 3, 8}) {
        for (int32_t w : {1, 7, 16, 17, 33, 515}) {
            planes(h, w);
        }
    }
    if (failures == 0) {
        std::printf("%zu of 3 instruction sets agree\n", tiers().size());
    }
    return failures == 0 ? 0 : 1;
}
