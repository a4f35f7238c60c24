// SPDX-License-Identifier: Apache-2.0
// mask [views, h, w], map i [views, extents.height[i], extents.width[i]], 1 <= maps <= ASG_MAPS: the maps, resized
// bilinearly with half-pixel centres, are set (first != 0) or added one after the other; then, unless norm < 0, the sums
// of `blocks` maps become weights in [0, 1] (§5). All views in one launch, a block each; the plane (64 KiB at 128 x 128)
// stays in the first-level cache between the passes, and each thread keeps to its own cells.
#include "asg_block.cuh"

#define ASG_MAPS 8

struct asg_map_extents {  // 64 bytes
    int height[ASG_MAPS], width[ASG_MAPS];
};

// Smallest and largest of all threads' values, for all threads: low and high.
ASG_FN void asg_block_range(float& low, float& high) {
    __shared__ float lows[ASG_THREADS];
    __shared__ float highs[ASG_THREADS];
    const int t = (int)threadIdx.x;
    __syncthreads();  // the range before is read
    lows[t] = low;
    highs[t] = high;
    for (int half = ASG_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            lows[t] = lows[t + half] < lows[t] ? lows[t + half] : lows[t];
            highs[t] = highs[t + half] > highs[t] ? highs[t + half] : highs[t];
        }
    }
    __syncthreads();
    low = lows[0];
    high = highs[0];
}

ASG_KERNEL asg_mask_f32(float* mask, const float* map0, const float* map1, const float* map2, const float* map3,
                        const float* map4, const float* map5, const float* map6, const float* map7,
                        asg_map_extents extents, int maps, int views, int h, int w, int first, int blocks, int norm) {
    const float* const planes[ASG_MAPS] = {map0, map1, map2, map3, map4, map5, map6, map7};
    const asg_i64 area = (asg_i64)h * w;
    for (asg_i64 view = blockIdx.x; view < views; view += gridDim.x) {
        float* v = mask + view * area;
        float low = 0.0f, high = 0.0f;
        for (int map = 0; map < maps; ++map) {
            const int map_height = extents.height[map], map_width = extents.width[map];
            const float* __restrict__ plane = planes[map] + view * map_height * map_width;
            const float ratio_y = (float)map_height / (float)h;
            const float ratio_x = (float)map_width / (float)w;
            const bool set = first && map == 0;
            const float scale = norm >= 0 && map == maps - 1 ? 1.0f / (float)blocks : 1.0f;  // * 1 is exact
            low = asg_bits_float(0x7F800000u);  // of the last map's pass: the range of the finished sums
            high = -low;
            asg_u32 y = threadIdx.x / (asg_u32)w, x = threadIdx.x % (asg_u32)w;  // no division per cell
            for (asg_i64 i = threadIdx.x; i < area; i += ASG_THREADS) {
                const asg_tap ty = asg_tap_of((int)y, ratio_y, map_height);
                const asg_tap tx = asg_tap_of((int)x, ratio_x, map_width);
                const float* row0 = plane + (asg_i64)ty.i0 * map_width;
                const float* row1 = plane + (asg_i64)ty.i1 * map_width;
                float sum = asg_bilinear(row0[tx.i0], row0[tx.i1], row1[tx.i0], row1[tx.i1], ty.f, tx.f);
                sum = (set ? sum : v[i] + sum) * scale;
                v[i] = sum;
                low = i == 0 || sum < low ? sum : low;
                high = i == 0 || sum > high ? sum : high;
                y += ASG_THREADS / (asg_u32)w;
                x += ASG_THREADS % (asg_u32)w;
                if (x >= (asg_u32)w) {
                    x -= (asg_u32)w;
                    ++y;
                }
            }
        }
        if (norm < 0) {
            continue;
        }
        asg_block_range(low, high);
        const bool flat = (norm == 1 ? high : high - low) < 1e-8f;
        float mean = 0.0f;
        if (norm == 2 && !flat) {
            mean = (float)(asg_tree_sum(v, area, [](double value) { return value; }) / (double)area);
        }
        const float factor = 1.0f / (norm == 1 ? high : high - low);
        for (asg_i64 i = threadIdx.x; i < area; i += ASG_THREADS) {
            v[i] = flat         ? 1.0f
                   : norm == 0 ? (v[i] - low) * factor
                   : norm == 1 ? v[i] * factor
                   : v[i] >= mean ? 1.0f : 0.0f;
        }
    }
}
