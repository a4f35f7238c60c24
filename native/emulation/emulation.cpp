// SPDX-License-Identifier: Apache-2.0
// Runs the CUDA kernels on the CPU for the tests: the same sources, called for every thread of every block. What it
// cannot show is speed, and what NVRTC makes of the code; what it does show is arithmetic, indices, bounds (guard pages,
// alignment traps) and missing barriers (threads in any order).
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <tuple>
#include <utility>

#include "cuda_on_cpu.hpp"

#include "../../kernels/add_tile.cu"
#include "../../kernels/blend.cu"
#include "../../kernels/blur.cu"
#include "../../kernels/combine.cu"
#include "../../kernels/cut.cu"
#include "../../kernels/divide_tiles.cu"
#include "../../kernels/first_non_finite.cu"
#include "../../kernels/gather_windows.cu"
#include "../../kernels/guided_step.cu"
#include "../../kernels/interact.cu"
#include "../../kernels/mask.cu"
#include "../../kernels/match_moments.cu"
#include "../../kernels/model_input.cu"
#include "../../kernels/moments.cu"
#include "../../kernels/normal.cu"
#include "../../kernels/relocate.cu"
#include "../../kernels/resample.cu"
#include "../../kernels/resample_cut.cu"
#include "../../kernels/rgb8.cu"
#include "../../kernels/scale_shift.cu"
#include "../../kernels/window_step.cu"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

// Calls a kernel with parameters that are passed as cuLaunchKernel takes them: pointers to the values.
template <typename... P, size_t... I>
void apply(void (*kernel)(P...), void** params, std::index_sequence<I...>) {
    kernel(*static_cast<P*>(params[I])...);
}

template <auto Kernel>
struct Call;

template <typename... P, void (*Kernel)(P...)>
struct Call<Kernel> {
    static void run(void** params) { apply(Kernel, params, std::index_sequence_for<P...>()); }
};

struct Entry {
    const char* name;
    void (*run)(void** params);
    bool barriers;
};

#define ENTRY(name) {#name, Call<name>::run, false}
#define ENTRY_WITH_BARRIERS(name) {#name, Call<name>::run, true}

const Entry ENTRIES[] = {
    ENTRY(asg_add_tile_f32),
    ENTRY(asg_blend_f32),
    ENTRY(asg_blur_f32),
    ENTRY(asg_combine_f32),
    ENTRY(asg_cut_f32),
    ENTRY(asg_divide_tiles_f32),
    ENTRY(asg_first_non_finite_f32),
    ENTRY(asg_gather_windows_f32),
    ENTRY(asg_guided_step_f32),
    ENTRY(asg_interact_f32),
    ENTRY_WITH_BARRIERS(asg_mask_f32),
    ENTRY(asg_match_moments_f32),
    ENTRY(asg_model_input_f32),
    ENTRY_WITH_BARRIERS(asg_moments_f32),
    ENTRY(asg_normal_f32),
    ENTRY(asg_relocate_f32),
    ENTRY(asg_resample_f32),
    ENTRY(asg_resample_cut_f32),
    ENTRY(asg_rgb8_f32),
    ENTRY(asg_scale_shift_f32),
    ENTRY_WITH_BARRIERS(asg_window_step_f32),
};

// ---- Threads of a block that meet at barriers ----

enum { STACK = 64 * 1024 };

// Lives as long as the process and runs one thread of every block; ucontext gives it a stack, jumps (which make no
// system call) take turns.
struct Fiber {
    jmp_buf at;
    bool done;
};

jmp_buf scheduler;
Fiber fibers[ASG_THREADS];
bool started = false;
int running = -1;
const Entry* entry;
void** arguments;

void turn_to_scheduler() {
    if (_setjmp(fibers[running].at) == 0) {
        _longjmp(scheduler, 1);
    }
}

void turn_to(int fiber) {
    running = fiber;
    threadIdx = {(unsigned)fiber, 0, 0};
    if (_setjmp(scheduler) == 0) {
        _longjmp(fibers[fiber].at, 1);
    }
}

void fiber_main() {
    for (;;) {
        turn_to_scheduler();
        entry->run(arguments);
        fibers[running].done = true;
    }
}

void start_fibers() {
    for (running = 0; running < ASG_THREADS; ++running) {
        ucontext_t context;
        getcontext(&context);
        context.uc_stack.ss_sp = malloc(STACK);
        context.uc_stack.ss_size = STACK;
        context.uc_link = nullptr;
        makecontext(&context, fiber_main, 0);
        if (_setjmp(scheduler) == 0) {
            setcontext(&context);
        }
    }
    running = -1;
    started = true;
}

// The i-th thread to run: ascending, descending, or scattered by an odd factor.
unsigned nth(unsigned i, int order) {
    return order == 0 ? i : order == 1 ? ASG_THREADS - 1 - i : (i * 167 + 13) % ASG_THREADS;
}

void run_with_barriers(int order) {
    if (!started) {
        start_fibers();
    }
    for (Fiber& fiber : fibers) {
        fiber.done = false;
    }
    // Each round takes every thread to its next barrier. CUDA wants all threads of a block at each barrier.
    for (int finished = 0; finished == 0;) {
        for (int i = 0; i < ASG_THREADS; ++i) {
            const int t = (int)nth((unsigned)i, order);
            turn_to(t);
            finished += fibers[t].done;
        }
        if (finished != 0 && finished != ASG_THREADS) {
            abort();  // some threads ended while others wait at a barrier
        }
    }
    running = -1;
}

}  // namespace

void __syncthreads() {
    if (running < 0) {
        abort();  // a kernel with barriers that is not entered as one
    }
    turn_to_scheduler();
}

#define EXPORT extern "C" __attribute__((visibility("default")))

// Launches a kernel; the order of the threads is 0 (ascending), 1 (descending) or 2 (scattered). 0, or -1 if there is no
// such kernel, -2 for another block size than the kernels'.
EXPORT int32_t asg_emulate(const char* name, uint32_t grid_x, uint32_t grid_y, uint32_t grid_z, uint32_t block,
                           void** params, int32_t order) {
    if (block != ASG_THREADS) {
        return -2;
    }
    for (const Entry& candidate : ENTRIES) {
        if (strcmp(candidate.name, name) != 0) {
            continue;
        }
        entry = &candidate;
        arguments = params;
        gridDim = {grid_x, grid_y, grid_z};
        blockDim = {block, 1, 1};
        const uint64_t blocks = (uint64_t)grid_x * grid_y * grid_z;
        for (uint64_t b = 0; b < blocks; ++b) {
            const uint64_t i = order == 1 ? blocks - 1 - b : b;
            blockIdx = {(unsigned)(i % grid_x), (unsigned)(i / grid_x % grid_y), (unsigned)(i / grid_x / grid_y)};
            if (candidate.barriers) {
                run_with_barriers(order);
                continue;
            }
            for (unsigned t = 0; t < block; ++t) {
                threadIdx = {nth(t, order), 0, 0};
                candidate.run(params);
            }
        }
        return 0;
    }
    return -1;
}

// Names of all kernels, for the test that every entry of kernels/ is here; null beyond the last.
EXPORT const char* asg_emulated_name(int32_t i) {
    return i >= 0 && i < (int32_t)(sizeof(ENTRIES) / sizeof(ENTRIES[0])) ? ENTRIES[i].name : nullptr;
}
