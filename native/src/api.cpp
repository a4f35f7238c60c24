// SPDX-License-Identifier: Apache-2.0
// The C border: checks every argument, picks the instruction set, calls the kernel.
#include <cpuid.h>

#include "asg_cpu.h"
#include "kernels.hpp"

namespace {

enum class Registers { AVX = 0x06, AVX512 = 0xE6 };  // bits of XCR0: SSE and AVX; and opmask, ZMM

bool os_saves(Registers registers) {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE)) {
        return false;
    }
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & (unsigned)registers) == (unsigned)registers;
}

int32_t probe(int32_t tier) {
    if (tier == ASG_SCALAR) {
        return 1;
    }
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        return 0;
    }
    if (!(ecx & bit_AVX) || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        return 0;
    }
    const unsigned needed =
        tier == ASG_AVX2 ? bit_AVX2 : bit_AVX2 | bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    if ((ebx & needed) != needed) {
        return 0;
    }
    return os_saves(tier == ASG_AVX2 ? Registers::AVX : Registers::AVX512) ? 1 : -1;
}

// Asked once, at load: CPUID is a trap of some microseconds in a virtual machine.
const int32_t supported[] = {probe(ASG_SCALAR), probe(ASG_AVX2), probe(ASG_AVX512)};
const asg::Kernels* const tables[] = {&asg::scalar_kernels, &asg::avx2_kernels, &asg::avx512_kernels};

// Collects the first thing wrong with the arguments of a call.
class Check {
public:
    explicit Check(int32_t tier)
        : status(tier < ASG_SCALAR || tier > ASG_AVX512 ? ASG_UNKNOWN_TIER
                 : supported[tier] != 1                 ? ASG_NO_SUCH_CPU
                                                        : ASG_OK) {}

    // A tensor of 4-byte elements with these extents.
    template <typename... Extent>
    Check& tensor(const void* data, Extent... extents) {
        int64_t bytes = 4;
        (multiply(bytes, extents), ...);
        return require(data != nullptr, ASG_NULL_POINTER);
    }

    template <typename... Extent>
    Check& optional(const void* data, Extent... extents) {
        return data ? tensor(data, extents...) : *this;
    }

    Check& option(bool good) { return require(good, ASG_BAD_OPTION); }

    // What a row adds is there.
    Check& terms(const asg_step& step, const float* noise, const asg::History& history) {
        option(noise || step.step_n == 0.0f);
        for (int j = 0; j < 3; ++j) {
            option(history.past[j] || step.step_past[j] == 0.0f);
        }
        return *this;
    }

    bool failed() const { return status != ASG_OK; }

    int32_t status;

private:
    Check& require(bool good, int32_t otherwise) {
        if (status == ASG_OK && !good) {
            status = otherwise;
        }
        return *this;
    }

    void multiply(int64_t& product, int64_t extent) {
        require(extent >= 1, ASG_BAD_EXTENT);
        if (!failed()) {
            require(!__builtin_mul_overflow(product, extent, &product), ASG_TOO_LARGE);
        }
    }
};

}  // namespace

extern "C" {

int32_t asg_abi_version(void) { return ASG_CPU_ABI_VERSION; }

int32_t asg_tier_supported(int32_t tier) {
    return tier < ASG_SCALAR || tier > ASG_AVX512 ? (int32_t)ASG_UNKNOWN_TIER : supported[tier];
}

const char* asg_status_name(int32_t status) {
    switch (status) {
        case ASG_OK:
            return "ASG_OK";
        case ASG_NULL_POINTER:
            return "ASG_NULL_POINTER";
        case ASG_BAD_EXTENT:
            return "ASG_BAD_EXTENT";
        case ASG_TOO_LARGE:
            return "ASG_TOO_LARGE";
        case ASG_BAD_OPTION:
            return "ASG_BAD_OPTION";
        case ASG_UNKNOWN_TIER:
            return "ASG_UNKNOWN_TIER";
        case ASG_NO_SUCH_CPU:
            return "ASG_NO_SUCH_CPU";
        default:
            return "unknown status";
    }
}

int32_t asg_normal_f32(int32_t tier, float* out, int32_t planes, int64_t pitch, int64_t count, int64_t seed,
                       int64_t first_element, int32_t step, int32_t purpose, float scale) {
    Check check(tier);
    check.tensor(out, planes, pitch).tensor(out, count).option(pitch >= count && step >= 0 && purpose >= 0);
    if (check.failed()) {
        return check.status;
    }
    for (int32_t plane = 0; plane < planes; ++plane) {
        const int64_t at = plane * pitch;
        tables[tier]->normal(out + at, count, (uint64_t)seed, (uint64_t)(first_element + at), (uint32_t)step,
                             (uint32_t)purpose, scale);
    }
    return ASG_OK;
}

int32_t asg_interact_f32(int32_t tier, float* out, float* sample, const float* in, int32_t first_slot, int32_t slots,
                         int32_t patches, int64_t plane, int64_t seed, int32_t from_step, int32_t to_step,
                         int32_t copies, float scale) {
    Check check(tier);
    check.tensor(out, slots, plane).optional(sample, copies, slots, plane).tensor(in, patches, plane);
    check.option(patches <= ASG_MAX_PATCHES && first_slot >= 0 && (int64_t)first_slot + slots <= patches);
    check.option(from_step >= -1 && to_step >= -1);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->interact(out, sample, in, first_slot, slots, patches, plane, (uint64_t)seed, from_step, to_step,
                           copies, scale);
    return ASG_OK;
}

int32_t asg_model_input_f32(int32_t tier, float* out, const float* in, int64_t count, int32_t copies, float scale) {
    Check check(tier);
    check.tensor(out, copies, count).tensor(in, count);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->model_input(out, in, count, copies, scale);
    return ASG_OK;
}

int32_t asg_gather_windows_f32(int32_t tier, float* out, const float* canvas, const int32_t* starts,
                               int32_t channels, int32_t canvas_height, int32_t canvas_width, int32_t views,
                               int32_t h, int32_t w, int32_t copies, float scale) {
    Check check(tier);
    check.tensor(out, copies, views, channels, h, w).tensor(canvas, channels, canvas_height, canvas_width);
    check.tensor(starts, views, 2);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->gather_windows(out, canvas, starts, channels, canvas_height, canvas_width, views, h, w, copies,
                                 scale);
    return ASG_OK;
}

int32_t asg_guided_step_f32(int32_t tier, float* out, float* guide_out, int64_t* found, float* clean, const float* x,
                            const float* uncond, const float* cond, const float* guide, const float* mask,
                            const float* noise, const float* past1, const float* past2, const float* past3,
                            const asg_step* step, int32_t views, int32_t channels, int64_t area, int32_t keyed,
                            int32_t guide_per_view, int32_t mask_per_view, float guidance_scale, float weight,
                            int32_t space) {
    Check check(tier);
    check.tensor(out, views, channels, area).tensor(x, views, channels, area);
    check.optional(uncond, views, channels, area).tensor(cond, views, channels, area).tensor(step, 16);
    check.option(space >= ASG_GUIDE_NONE && space <= ASG_GUIDE_LATENT);
    check.option(guide || space == ASG_GUIDE_NONE || (keyed && views == 1));
    check.option(!guide_out || (keyed && space != ASG_GUIDE_NONE));
    check.option(!guide_out || guide != guide_out || !guide_per_view);
    if (check.failed()) {
        return check.status;
    }
    const asg::History history{clean, {past1, past2, past3}};
    check.terms(*step, noise, history);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->guided_step(out, guide_out, found, x, uncond, cond, guide, mask, noise, history, step, views,
                              channels, area, keyed != 0, guide_per_view != 0, mask_per_view != 0, guidance_scale,
                              weight, space);
    return ASG_OK;
}

int32_t asg_combine_f32(int32_t tier, float* out, int64_t* found, const float* uncond, const float* cond,
                        int64_t count, float guidance_scale) {
    Check check(tier);
    check.tensor(out, count).optional(uncond, count).tensor(cond, count);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->combine(out, found, uncond, cond, count, guidance_scale);
    return ASG_OK;
}

int32_t asg_add_map_f32(int32_t tier, float* sum, const float* map, int32_t views, int32_t h, int32_t w,
                        int32_t map_height, int32_t map_width, int32_t first) {
    Check check(tier);
    check.tensor(sum, views, h, w).tensor(map, views, map_height, map_width);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->add_map(sum, map, views, h, w, map_height, map_width, first != 0);
    return ASG_OK;
}

int32_t asg_normalise_mask_f32(int32_t tier, float* mask, int32_t views, int64_t area, int32_t blocks, int32_t norm) {
    Check check(tier);
    check.tensor(mask, views, area);
    check.option(blocks >= 1 && norm >= ASG_NORM_MINMAX && norm <= ASG_NORM_MEAN_THRESHOLD);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->normalise_mask(mask, views, area, blocks, norm);
    return ASG_OK;
}

int32_t asg_relocate_f32(int32_t tier, float* canvas, const float* patches, int32_t channels, int32_t grid_height,
                         int32_t grid_width, int32_t h, int32_t w) {
    Check check(tier);
    check.tensor(canvas, channels, grid_height, h, grid_width, w);
    check.tensor(patches, grid_height, grid_width, channels, h, w);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->relocate(canvas, patches, channels, grid_height, grid_width, h, w);
    return ASG_OK;
}

int32_t asg_cut_f32(int32_t tier, float* patches, const float* canvas, int32_t channels, int32_t grid_height,
                    int32_t grid_width, int32_t h, int32_t w) {
    Check check(tier);
    check.tensor(patches, grid_height, grid_width, channels, h, w);
    check.tensor(canvas, channels, grid_height, h, grid_width, w);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->cut(patches, canvas, channels, grid_height, grid_width, h, w);
    return ASG_OK;
}

int32_t asg_window_step_f32(int32_t tier, float* out, float* clean, const float* x, const float* windows,
                            const int32_t* starts, const float* weight_y, const float* weight_x, const float* noise,
                            const float* past1, const float* past2, const float* past3, const asg_step* step,
                            int32_t channels, int32_t canvas_height, int32_t canvas_width, int32_t first_row,
                            int32_t rows, int32_t views, int32_t h, int32_t w) {
    Check check(tier);
    check.tensor(out, channels, canvas_height, canvas_width).tensor(x, channels, canvas_height, canvas_width);
    check.tensor(out, rows).option(first_row >= 0 && first_row <= canvas_height - rows);
    check.tensor(windows, views, channels, h, w).tensor(starts, views, 2).tensor(weight_y, h).tensor(weight_x, w);
    check.tensor(step, 16);
    if (check.failed()) {
        return check.status;
    }
    const asg::History history{clean, {past1, past2, past3}};
    check.terms(*step, noise, history);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->window_step(out, x, windows, starts, weight_y, weight_x, noise, history, step, channels,
                              canvas_height, canvas_width, first_row, rows, views, h, w);
    return ASG_OK;
}

int32_t asg_scale_shift_f32(int32_t tier, float* out, const float* in, int64_t count, float scale, float shift) {
    Check check(tier);
    check.tensor(out, count).tensor(in, count);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->scale_shift(out, in, count, scale, shift);
    return ASG_OK;
}

int32_t asg_add_tile_f32(int32_t tier, float* sum, float* weight_sum, const float* tile, const float* weight_y,
                         const float* weight_x, int32_t channels, int32_t height, int32_t width, int32_t top,
                         int32_t left, int32_t tile_height, int32_t tile_width) {
    Check check(tier);
    check.tensor(sum, channels, height, width).tensor(weight_sum, height, width);
    check.tensor(tile, channels, tile_height, tile_width).tensor(weight_y, tile_height).tensor(weight_x, tile_width);
    check.option(top >= 0 && left >= 0 && (int64_t)top + tile_height <= height && (int64_t)left + tile_width <= width);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->add_tile(sum, weight_sum, tile, weight_y, weight_x, channels, height, width, top, left, tile_height,
                           tile_width);
    return ASG_OK;
}

int32_t asg_divide_tiles_f32(int32_t tier, float* sum, const float* weight_sum, int32_t channels, int64_t area) {
    Check check(tier);
    check.tensor(sum, channels, area).tensor(weight_sum, area);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->divide_tiles(sum, weight_sum, channels, area);
    return ASG_OK;
}

int32_t asg_rgb8_f32(int32_t tier, uint8_t* out, const float* image, int32_t height, int32_t width, int32_t top,
                     int32_t left, int32_t out_height, int32_t out_width) {
    Check check(tier);
    check.tensor(out, out_height, out_width, 3).tensor(image, 3, height, width);
    check.option(top >= 0 && left >= 0 && (int64_t)top + out_height <= height && (int64_t)left + out_width <= width);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->rgb8(out, image, height, width, top, left, out_height, out_width);
    return ASG_OK;
}

int32_t asg_blend_f32(int32_t tier, float* out, const float* x, const float* y, int64_t count, float a, float b) {
    Check check(tier);
    check.tensor(out, count).tensor(x, count).tensor(y, count);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->blend(out, x, y, count, a, b);
    return ASG_OK;
}

int32_t asg_moments_f32(int32_t tier, double* out, const float* in, int64_t count) {
    Check check(tier);
    check.tensor(out, 4).tensor(in, count);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->moments(out, in, count);
    return ASG_OK;
}

int32_t asg_match_moments_f32(int32_t tier, float* out, const float* in, const double* from, const double* to,
                              int64_t count) {
    Check check(tier);
    check.tensor(out, count).tensor(in, count).tensor(from, 4).tensor(to, 4);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->match_moments(out, in, from, to, count);
    return ASG_OK;
}

int32_t asg_blur_f32(int32_t tier, float* out, float* work, const float* in, const float* weights, int32_t channels,
                     int32_t h, int32_t w, int32_t taps) {
    Check check(tier);
    check.tensor(out, channels, h, w).tensor(work, channels, h, w).tensor(in, channels, h, w).tensor(weights, taps);
    check.option(taps % 2 == 1);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->blur(out, work, in, weights, channels, h, w, taps);
    return ASG_OK;
}

int32_t asg_resample_f32(int32_t tier, float* out, float* work, const float* in, const int32_t* index_y,
                         const float* weight_y, const int32_t* index_x, const float* weight_x, int32_t planes,
                         int32_t in_height, int32_t in_width, int32_t out_height, int32_t out_width, int32_t taps_y,
                         int32_t taps_x) {
    Check check(tier);
    check.tensor(out, planes, out_height, out_width).tensor(work, planes, in_height, out_width);
    check.tensor(in, planes, in_height, in_width);
    check.tensor(index_y, out_height, taps_y).tensor(weight_y, out_height, taps_y);
    check.tensor(index_x, out_width, taps_x).tensor(weight_x, out_width, taps_x);
    if (check.failed()) {
        return check.status;
    }
    tables[tier]->resample(out, work, in, index_y, weight_y, index_x, weight_x, planes, in_height, in_width,
                           out_height, out_width, taps_y, taps_x);
    return ASG_OK;
}

int64_t asg_first_non_finite_f32(int32_t tier, const float* data, int64_t count) {
    Check check(tier);
    check.tensor(data, count);
    if (check.failed()) {
        return check.status;
    }
    return tables[tier]->first_non_finite(data, count);
}

}  // extern "C"
