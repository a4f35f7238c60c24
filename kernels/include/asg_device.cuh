// SPDX-License-Identifier: Apache-2.0
// What the kernels share: 16-byte accesses and grid-stride loops. A kernel is a plain function of pointers, extents
// and scalars, in the order of native/include/asg_cpu.h, that works for any grid of blocks of its own block size.
//
// _f32: all tensors are float32; networks in halves convert at their ends themselves.
//
// The same files compile as C++ for the tests (native/emulation), which then run this very code on the CPU.
#ifndef ASG_DEVICE_CUH
#define ASG_DEVICE_CUH

#include "asg_math.cuh"

#define ASG_THREADS 256  // of a block

#ifdef __CUDACC__
#define ASG_KERNEL extern "C" __global__ void __launch_bounds__(ASG_THREADS)
#else
#define ASG_KERNEL extern "C" void
#endif

// N elements that are loaded and stored together, in one access.
template <int N>
struct alignas(N * sizeof(float)) asg_pack {
    float v[N];
};

template <int N>
struct asg_count {
    enum { value = N };
};

template <int N>
ASG_FN void asg_read(float (&to)[N], const float* from) {
    const asg_pack<N> pack = *reinterpret_cast<const asg_pack<N>*>(from);
    for (int k = 0; k < N; ++k) {
        to[k] = pack.v[k];
    }
}

template <int N>
ASG_FN void asg_write(float* to, const float (&from)[N]) {
    asg_pack<N> pack;
    for (int k = 0; k < N; ++k) {
        pack.v[k] = from[k];
    }
    *reinterpret_cast<asg_pack<N>*>(to) = pack;
}

// A next latent with a past prediction, where that has a weight.
ASG_FN float asg_with_past(float next, float weight, const float* past, asg_i64 at) {
    return weight != 0.0f ? next + weight * past[at] : next;
}

// Whether all pointers are multiples of 16 bytes; null is.
template <typename... P>
ASG_FN bool asg_aligned(const P*... pointers) {
    return ((reinterpret_cast<asg_u64>(pointers) | ...) & 15) == 0;
}

// The first of elements i .. i + N - 1 of which uncond (or null) or cond is not finite, `none` if there is no such one.
template <int N>
ASG_FN asg_i64 asg_first_non_finite(const float* uncond, const float* cond, asg_i64 i, asg_i64 none) {
    for (int k = 0; k < N; ++k) {
        const bool good = asg_finite(cond[i + k]);
        if (!good || (uncond && !asg_finite(uncond[i + k]))) {
            return i + k;
        }
    }
    return none;
}

// Calls body(asg_count<N>(), i) for packs of elements i .. i + N - 1 of 0 .. count - 1, shared out over the grid's x
// axis, and body(asg_count<1>(), i) for the rest; without `packs` for all of them.
template <int N, typename Body>
ASG_FN void asg_for_each(asg_i64 count, bool packs, Body body) {
    const asg_i64 thread = (asg_i64)blockIdx.x * blockDim.x + threadIdx.x;
    const asg_i64 threads = (asg_i64)gridDim.x * blockDim.x;
    const asg_i64 whole = packs ? count / N : 0;
    for (asg_i64 i = thread; i < whole; i += threads) {
        body(asg_count<N>(), i * N);
    }
    for (asg_i64 i = whole * N + thread; i < count; i += threads) {
        body(asg_count<1>(), i);
    }
}

#endif
