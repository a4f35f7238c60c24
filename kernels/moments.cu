// SPDX-License-Identifier: Apache-2.0
// out float64 [2], in [count]: mean and standard deviation (§9). One block: the order of the sums is a chain of float64
// additions in each of its threads, which more blocks could not shorten.
#include "asg_block.cuh"

ASG_KERNEL asg_moments_f32(double* out, const float* __restrict__ in, asg_i64 count) {
    const double mean = asg_tree_sum(in, count, [](double value) { return value; }) / (double)count;
    const double squares =
        asg_tree_sum(in, count, [mean](double value) { return (value - mean) * (value - mean); });
    if (threadIdx.x == 0 && blockIdx.x == 0) {
        out[0] = mean;
        out[1] = asg_deviation(squares, count);
    }
}
