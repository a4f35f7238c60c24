// SPDX-License-Identifier: Apache-2.0
// Stage 2 in one pass (§6): for each cell the covering windows' noise in ascending index, averaged, one scheduler step.
// out, x [channels, canvas_height, canvas_width], of which rows first_row .. first_row + rows - 1, out may be x; windows
// [views, channels, h, w]; starts [views, 2] (top, left; any value); weight_y [h], weight_x [w]; noise like x or null;
// clean, past1, past2, past3 as in guided_step.cu, of which the same rows as of x.
// Each cell gathers what covers it: no atomics, and the order of the sums does not depend on the grid or on the rows.
//
// A block owns a tile of 32 x 8 cells of one channel (grid: tiles along x, along the rows, channels). Its threads first find the
// views that meet the tile, 256 at a time and in order, then each sums its own cell over those alone.
#include "asg_device.cuh"

enum { TILE_WIDTH = 32, TILE_HEIGHT = ASG_THREADS / TILE_WIDTH };

ASG_KERNEL asg_window_step_f32(float* out, float* clean, const float* x, const float* __restrict__ windows,
                               const int* __restrict__ starts, const float* __restrict__ weight_y,
                               const float* __restrict__ weight_x, const float* __restrict__ noise,
                               const float* __restrict__ past1, const float* __restrict__ past2,
                               const float* __restrict__ past3, asg_step step, int channels, int canvas_height, int canvas_width, int first_row,
                               int rows, int views, int h, int w) {
    __shared__ bool meets[ASG_THREADS];
    __shared__ int met[ASG_THREADS], tops[ASG_THREADS], lefts[ASG_THREADS];
    __shared__ int met_count;
    const int t = (int)threadIdx.x;
    const asg_i64 area = (asg_i64)canvas_height * canvas_width;
    const asg_i64 tile_x = (asg_i64)blockIdx.x * TILE_WIDTH, tile_y = first_row + (asg_i64)blockIdx.y * TILE_HEIGHT;
    const asg_i64 cell_x = tile_x + t % TILE_WIDTH, cell_y = tile_y + t / TILE_WIDTH;
    const bool inside = cell_y < (asg_i64)first_row + rows && cell_x < canvas_width;
    for (asg_i64 c = blockIdx.z; c < channels; c += gridDim.z) {
        // -0 is the neutral element of addition; +0 is not.
        float sum = -0.0f, total = -0.0f, single = 0.0f;
        int covering = 0;
        for (int first = 0; first < views; first += ASG_THREADS) {
            const int view = first + t;
            asg_i64 top = 0, left = 0;
            bool mine = false;
            if (view < views) {
                top = starts[2 * (asg_i64)view];
                left = starts[2 * (asg_i64)view + 1];
                mine = top < tile_y + TILE_HEIGHT && top + h > tile_y && left < tile_x + TILE_WIDTH &&
                       left + w > tile_x;
            }
            meets[t] = mine;
            __syncthreads();  // also: the list of the chunk before is read
            if (mine || t == ASG_THREADS - 1) {
                int place = 0;
                for (int i = 0; i < t; ++i) {
                    place += meets[i];
                }
                if (mine) {
                    met[place] = view;
                    tops[place] = (int)top;
                    lefts[place] = (int)left;
                }
                if (t == ASG_THREADS - 1) {
                    met_count = place + mine;
                }
            }
            __syncthreads();
            for (int i = 0; inside && i < met_count; ++i) {
                const asg_i64 row = cell_y - tops[i], column = cell_x - lefts[i];
                if (row >= 0 && row < h && column >= 0 && column < w) {
                    const float m = windows[((met[i] * (asg_i64)channels + c) * h + row) * w + column];
                    const float weight = weight_y[row] * weight_x[column];
                    single = m;
                    sum += weight * m;
                    total += weight;
                    ++covering;
                }
            }
        }
        if (inside) {
            const asg_i64 at = c * area + cell_y * canvas_width + cell_x;
            const float cell = x[at];
            const float e = asg_noise_of(step, covering == 1 ? single : sum / total, cell);
            if (clean) {
                clean[at] = asg_kept_of(step, e, cell);
            }
            float next = asg_next(step, e, cell);
            next = asg_with_past(next, step.step_past[0], past1, at);
            next = asg_with_past(next, step.step_past[1], past2, at);
            next = asg_with_past(next, step.step_past[2], past3, at);
            out[at] = noise && step.step_n != 0.0f ? next + step.step_n * noise[at] : next;
        }
    }
}
