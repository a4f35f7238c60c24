// SPDX-License-Identifier: Apache-2.0
// One table of kernels per instruction set; api.cpp checks the arguments and calls through it.
#ifndef ASG_KERNELS_HPP
#define ASG_KERNELS_HPP

#include <stdint.h>

#include "asg_cpu.h"

namespace asg {

// Predicted clean latents like the latents that are stepped: where this step's go, or null; those of the steps before,
// where step_past is not 0.
struct History {
    float* clean;
    const float* past[3];
};

// Arguments as in asg_cpu.h, already checked.
struct Kernels {
    void (*normal)(float* out, int64_t count, uint64_t seed, uint64_t first_element, uint32_t step, uint32_t purpose,
                   float scale);
    void (*interact)(float* out, float* sample, const float* in, int64_t first_slot, int64_t slots, int patches,
                     int64_t plane, uint64_t seed, int from_step, int to_step, int64_t copies, float scale);
    void (*model_input)(float* out, const float* in, int64_t count, int64_t copies, float scale);
    void (*gather_windows)(float* out, const float* canvas, const int32_t* starts, int64_t channels,
                           int64_t canvas_height, int64_t canvas_width, int64_t views, int64_t h, int64_t w,
                           int64_t copies, float scale);
    void (*guided_step)(float* out, float* guide_out, int64_t* found, const float* x, const float* uncond,
                        const float* cond, const float* guide, const float* mask, const float* noise,
                        const History& history, const asg_step* step, int64_t views, int64_t channels, int64_t area, bool keyed,
                        bool guide_per_view, bool mask_per_view, float guidance_scale, float weight, int space);
    void (*combine)(float* out, int64_t* found, const float* uncond, const float* cond, int64_t count,
                    float guidance_scale);
    void (*add_map)(float* sum, const float* map, int64_t views, int h, int w, int map_height, int map_width,
                    bool first);
    void (*normalise_mask)(float* mask, int64_t views, int64_t area, int blocks, int norm);
    void (*relocate)(float* canvas, const float* patches, int64_t channels, int64_t grid_height, int64_t grid_width,
                     int64_t h, int64_t w);
    void (*cut)(float* patches, const float* canvas, int64_t channels, int64_t grid_height, int64_t grid_width,
                int64_t h, int64_t w);
    void (*window_step)(float* out, const float* x, const float* windows, const int32_t* starts,
                        const float* weight_y, const float* weight_x, const float* noise, const History& history,
                        const asg_step* step, int64_t channels, int64_t canvas_height, int64_t canvas_width, int64_t first_row,
                        int64_t rows, int64_t views, int64_t h, int64_t w);
    void (*scale_shift)(float* out, const float* in, int64_t count, float scale, float shift);
    void (*add_tile)(float* sum, float* weight_sum, const float* tile, const float* weight_y, const float* weight_x,
                     int64_t channels, int64_t height, int64_t width, int64_t top, int64_t left, int64_t tile_height,
                     int64_t tile_width);
    void (*divide_tiles)(float* sum, const float* weight_sum, int64_t channels, int64_t area);
    void (*rgb8)(uint8_t* out, const float* image, int64_t height, int64_t width, int64_t top, int64_t left,
                 int64_t out_height, int64_t out_width);
    void (*blend)(float* out, const float* x, const float* y, int64_t count, float a, float b);
    void (*moments)(double* out, const float* in, int64_t count);
    void (*match_moments)(float* out, const float* in, const double* from, const double* to, int64_t count);
    void (*blur)(float* out, float* work, const float* in, const float* weights, int64_t channels, int64_t h,
                 int64_t w, int taps);
    void (*resample)(float* out, float* work, const float* in, const int32_t* index_y, const float* weight_y,
                     const int32_t* index_x, const float* weight_x, int64_t planes, int64_t in_height,
                     int64_t in_width, int64_t out_height, int64_t out_width, int taps_y, int taps_x);
    int64_t (*first_non_finite)(const float* data, int64_t count);
};

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;

}  // namespace asg

#endif
