// SPDX-License-Identifier: Apache-2.0
// mask [views, area], in place: sums of `blocks` maps become weights in [0, 1] (§5). All views in one launch, a block
// each; the plane (64 KiB at 128 x 128) stays in the first-level cache between the passes.
#include "asg_block.cuh"

// Smallest and largest of all threads' values, for all threads: low and high.
ASG_FN void asg_block_range(float& low, float& high) {
    __shared__ float lows[ASG_THREADS];
    __shared__ float highs[ASG_THREADS];
    const int t = (int)threadIdx.x;
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

ASG_KERNEL asg_normalise_mask_f32(float* mask, int views, asg_i64 area, int blocks, int norm) {
    const float block_scale = 1.0f / (float)blocks;
    for (asg_i64 view = blockIdx.x; view < views; view += gridDim.x) {
        float* v = mask + view * area;
        float low = v[0] * block_scale, high = low;  // of an element that thread 0 owns: read before it is written
        __syncthreads();  // also: the range of the view before is read
        for (asg_i64 i = threadIdx.x; i < area; i += ASG_THREADS) {
            const float scaled = v[i] * block_scale;
            v[i] = scaled;
            low = scaled < low ? scaled : low;
            high = scaled > high ? scaled : high;
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
