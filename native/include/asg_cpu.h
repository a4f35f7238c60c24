// SPDX-License-Identifier: Apache-2.0
// C ABI of the CPU kernels (libasg_cpu). What they compute: onnx-export/reference/SPEC.md, cited as §.
//
// All functions: the caller owns every buffer; nothing is allocated, kept or thrown, there is no state, so any number
// of threads may call at once on disjoint outputs. Order: tier, out, in..., extents, scalars. Tensors are row-major
// float32 aligned to 4 bytes, shapes as commented. Buffers do not overlap, except where "may be" says so, and then
// they are the same buffer from its first element on. Extents are at least 1. Results are the same bits in every tier.
//
// Sizes of buffers are not known here: the caller checks them. What can be checked is, before anything is written:
// a null buffer that is not optional, an extent below 1, extents whose bytes overflow, an unknown option, an
// instruction set that this machine lacks; each is a negative asg_status. 0 is success.
#ifndef ASG_CPU_H
#define ASG_CPU_H

#include <stdint.h>

#include "asg_step.h"

#ifdef ASG_CPU_BUILD
#define ASG_CPU_API __attribute__((visibility("default")))
#else
#define ASG_CPU_API
#endif

#define ASG_CPU_ABI_VERSION 7

#ifdef __cplusplus
extern "C" {
#endif

enum asg_status {
    ASG_OK = 0,
    ASG_NULL_POINTER = -1,
    ASG_BAD_EXTENT = -2,    // below 1
    ASG_TOO_LARGE = -3,     // the bytes of a tensor do not fit into 63 bits
    ASG_BAD_OPTION = -4,    // an option or index outside its range, or options that contradict each other
    ASG_UNKNOWN_TIER = -5,
    ASG_NO_SUCH_CPU = -6,   // asg_tier_supported(tier) is not 1
};

enum asg_tier { ASG_SCALAR = 0, ASG_AVX2 = 1, ASG_AVX512 = 2 };

enum asg_space { ASG_GUIDE_NONE = 0, ASG_GUIDE_NOISE = 1, ASG_GUIDE_LATENT = 2 };

enum asg_norm { ASG_NORM_MINMAX = 0, ASG_NORM_MAX = 1, ASG_NORM_MEAN_THRESHOLD = 2 };

// The most patches of asg_interact_f32.
#define ASG_MAX_PATCHES 256

// The version that the library was built with; Java refuses another one at load.
ASG_CPU_API int32_t asg_abi_version(void);

// 1: yes; 0: the CPU cannot; -1: the CPU can, but the operating system does not save its registers;
// ASG_UNKNOWN_TIER.
ASG_CPU_API int32_t asg_tier_supported(int32_t tier);

// Name of a status for messages, "unknown status" for any other number. Constant memory.
ASG_CPU_API const char* asg_status_name(int32_t status);

// out, planes pieces of [count] that begin pitch >= count floats apart (§1), such as rows of a canvas:
// out[p * pitch + i] = scale * normal(first_element + p * pitch + i).
ASG_CPU_API int32_t asg_normal_f32(int32_t tier, float* out, int32_t planes, int64_t pitch, int64_t count, int64_t seed,
                                   int64_t first_element, int32_t step, int32_t purpose, float scale);

// out [slots, plane], in [patches, plane] (§3): slots first_slot .. first_slot + slots - 1 of the frame of to_step out
// of the whole frame of from_step; -1 is the frame without permutation. sample [copies, slots, plane] or null:
// scale * out, copies times (§2).
ASG_CPU_API int32_t asg_interact_f32(int32_t tier, float* out, float* sample, const float* in, int32_t first_slot,
                                     int32_t slots, int32_t patches, int64_t plane, int64_t seed, int32_t from_step,
                                     int32_t to_step, int32_t copies, float scale);

// out [copies, count], in [count]: scale * in, copies times (§2).
ASG_CPU_API int32_t asg_model_input_f32(int32_t tier, float* out, const float* in, int64_t count, int32_t copies,
                                        float scale);

// out [copies, views, channels, h, w], canvas [channels, canvas_height, canvas_width], starts [views, 2] (top, left;
// any value): scale * cell, 0 outside the canvas (§6).
ASG_CPU_API int32_t asg_gather_windows_f32(int32_t tier, float* out, const float* canvas, const int32_t* starts,
                                           int32_t channels, int32_t canvas_height, int32_t canvas_width,
                                           int32_t views, int32_t h, int32_t w, int32_t copies, float scale);

// out, x, cond [views, channels, area]; out may be x; uncond alike or null; guide [channels, area], with guide_per_view
// [views, channels, area], ignored where no view is guided; mask [area], with mask_per_view [views, area], or null for
// 1; noise [views, channels, area] or null, which needs step_n = 0 (§4). keyed: view 0 is the key patch, which is not
// guided, whose row of guides is not read, and which leaves its guide in guide_out [channels, area], which without
// guide_per_view may be guide, or null; without keyed, or with ASG_GUIDE_NONE, guide_out has to be null.
// found [1] or null: lowered to the first element of which uncond or cond is a NaN or an infinity. clean like x or null:
// receives the clean latents that the step predicts, after guidance; past1, past2, past3 like x or null, which needs 0
// in step_past: those of the steps before.
ASG_CPU_API int32_t asg_guided_step_f32(int32_t tier, float* out, float* guide_out, int64_t* found, float* clean,
                                        const float* x, const float* uncond, const float* cond, const float* guide,
                                        const float* mask, const float* noise, const float* past1, const float* past2,
                                        const float* past3, const asg_step* step, int32_t views, int32_t channels,
                                        int64_t area, int32_t keyed, int32_t guide_per_view, int32_t mask_per_view,
                                        float guidance_scale, float weight, int32_t space);

// out, cond [count], uncond [count] or null: classifier-free guidance (§4). found as in asg_guided_step_f32.
ASG_CPU_API int32_t asg_combine_f32(int32_t tier, float* out, int64_t* found, const float* uncond, const float* cond,
                                    int64_t count, float guidance_scale);

// sum [views, h, w], map [views, map_height, map_width]: sets (first != 0) or adds the resized map (§5).
ASG_CPU_API int32_t asg_add_map_f32(int32_t tier, float* sum, const float* map, int32_t views, int32_t h, int32_t w,
                                    int32_t map_height, int32_t map_width, int32_t first);

// mask [views, area], in place: sums of `blocks` maps become weights in [0, 1] (§5). norm: asg_norm.
ASG_CPU_API int32_t asg_normalise_mask_f32(int32_t tier, float* mask, int32_t views, int64_t area, int32_t blocks,
                                           int32_t norm);

// canvas [channels, grid_height * h, grid_width * w], patches [grid_height * grid_width, channels, h, w] (§6).
ASG_CPU_API int32_t asg_relocate_f32(int32_t tier, float* canvas, const float* patches, int32_t channels,
                                     int32_t grid_height, int32_t grid_width, int32_t h, int32_t w);

// The inverse of asg_relocate_f32.
ASG_CPU_API int32_t asg_cut_f32(int32_t tier, float* patches, const float* canvas, int32_t channels,
                                int32_t grid_height, int32_t grid_width, int32_t h, int32_t w);

// out, x [channels, canvas_height, canvas_width], of which rows first_row .. first_row + rows - 1 are read and written;
// out may be x; windows [views, channels, h, w]; starts [views, 2] (top, left; any value); weight_y [h], weight_x [w];
// noise like x or null, which needs step_n = 0 (§6). A cell that no window covers becomes NaN. clean, past1, past2, past3
// as in asg_guided_step_f32, of which the same rows as of x.
ASG_CPU_API int32_t asg_window_step_f32(int32_t tier, float* out, float* clean, const float* x, const float* windows,
                                        const int32_t* starts, const float* weight_y, const float* weight_x,
                                        const float* noise, const float* past1, const float* past2,
                                        const float* past3, const asg_step* step, int32_t channels,
                                        int32_t canvas_height, int32_t canvas_width, int32_t first_row, int32_t rows,
                                        int32_t views, int32_t h, int32_t w);

// out, in [count]: in * scale + shift (§8). out may be in.
ASG_CPU_API int32_t asg_scale_shift_f32(int32_t tier, float* out, const float* in, int64_t count, float scale,
                                        float shift);

// sum [channels, height, width], weight_sum [height, width], tile [channels, tile_height, tile_width] wholly inside,
// weight_y [tile_height], weight_x [tile_width]: adds weight * tile and weight.
ASG_CPU_API int32_t asg_add_tile_f32(int32_t tier, float* sum, float* weight_sum, const float* tile,
                                     const float* weight_y, const float* weight_x, int32_t channels, int32_t height,
                                     int32_t width, int32_t top, int32_t left, int32_t tile_height,
                                     int32_t tile_width);

// sum [channels, area], weight_sum [area]: sum / weight_sum in place.
ASG_CPU_API int32_t asg_divide_tiles_f32(int32_t tier, float* sum, const float* weight_sum, int32_t channels,
                                         int64_t area);

// out uint8 [out_height, out_width, 3], image [3, height, width]; the crop at (top, left) is wholly inside (§8).
ASG_CPU_API int32_t asg_rgb8_f32(int32_t tier, uint8_t* out, const float* image, int32_t height, int32_t width,
                                 int32_t top, int32_t left, int32_t out_height, int32_t out_width);

// out, x, y [count]: a * x + b * y (§9). out may be x or y.
ASG_CPU_API int32_t asg_blend_f32(int32_t tier, float* out, const float* x, const float* y, int64_t count, float a,
                                  float b);

// out float64 [2], in [count]: mean and standard deviation (§9).
ASG_CPU_API int32_t asg_moments_f32(int32_t tier, double* out, const float* in, int64_t count);

// out, in [count], from, to float64 [2]: values of the moments `from` get the moments `to` (§9). out may be in.
ASG_CPU_API int32_t asg_match_moments_f32(int32_t tier, float* out, const float* in, const double* from,
                                          const double* to, int64_t count);

// out, work, in [channels, h, w], weights [taps], taps odd: blurs along x, then along y (§9).
ASG_CPU_API int32_t asg_blur_f32(int32_t tier, float* out, float* work, const float* in, const float* weights,
                                 int32_t channels, int32_t h, int32_t w, int32_t taps);

// out [planes, out_height, out_width], work [planes, in_height, out_width], in [planes, in_height, in_width], index_y,
// weight_y [out_height, taps_y], index_x, weight_x [out_width, taps_x]: resizes along x, then along y (§9). Any index
// is good; one outside reads the cell at the border.
ASG_CPU_API int32_t asg_resample_f32(int32_t tier, float* out, float* work, const float* in, const int32_t* index_y,
                                     const float* weight_y, const int32_t* index_x, const float* weight_x,
                                     int32_t planes, int32_t in_height, int32_t in_width, int32_t out_height,
                                     int32_t out_width, int32_t taps_y, int32_t taps_x);

// Index of the first NaN or infinity of data [count], count if there is none; a negative asg_status.
ASG_CPU_API int64_t asg_first_non_finite_f32(int32_t tier, const float* data, int64_t count);

// Before ONNX Runtime's CUDA provider is loaded and for each device that it uses, with CUDA's runtime (libcudart.so.13)
// loaded: what any device's kernels are allowed of shared memory, those of this one are too (src/shared_memory.cpp).
ASG_CPU_API int32_t asg_cuda_device(int32_t device);

#ifdef __cplusplus
}
#endif

#endif
