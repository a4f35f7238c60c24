// SPDX-License-Identifier: Apache-2.0
// What kernels/*.cu need of CUDA, on a CPU: one thread of a block after the other. A kernel with barriers runs its
// threads as fibers, which change places at every __syncthreads(). One launch at a time.
#ifndef ASG_CUDA_ON_CPU_HPP
#define ASG_CUDA_ON_CPU_HPP

#include <stddef.h>

struct dim3 {
    unsigned x, y, z;
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __shared__ static

// Defined in emulation.cpp.
void __syncthreads();

template <typename T>
void atomicMin(T* at, T value) {
    *at = value < *at ? value : *at;
}

#endif
