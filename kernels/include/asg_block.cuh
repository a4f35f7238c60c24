// SPDX-License-Identifier: Apache-2.0
// Sums over a block of ASG_THREADS threads, in the one order of §5.
#ifndef ASG_BLOCK_CUH
#define ASG_BLOCK_CUH

#include "asg_device.cuh"

// The sum of one float64 of every thread, for all threads: halves are added, 128 and 128, 64 and 64, ...
ASG_FN double asg_block_sum(double v) {
    __shared__ double partial[ASG_THREADS];
    const int t = (int)threadIdx.x;
    __syncthreads();  // the sum before is read
    partial[t] = v;
    for (int half = ASG_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            partial[t] += partial[t + half];
        }
    }
    __syncthreads();
    return partial[0];
}

// The sum of term(v[i]) over all i, for all threads: thread t adds i = t, t + 256, ... in order. Eight loads are under
// way at a time, since the additions have to wait for each other.
template <typename Term>
ASG_FN double asg_tree_sum(const float* v, asg_i64 count, Term term) {
    double partial = 0.0;
    asg_i64 i = threadIdx.x;
    for (; i + 7 * ASG_THREADS < count; i += 8 * ASG_THREADS) {
        float next[8];
        for (int k = 0; k < 8; ++k) {
            next[k] = v[i + k * ASG_THREADS];
        }
        for (int k = 0; k < 8; ++k) {
            partial += term((double)next[k]);
        }
    }
    for (; i < count; i += ASG_THREADS) {
        partial += term((double)v[i]);
    }
    return asg_block_sum(partial);
}

#endif
