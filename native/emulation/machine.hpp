// SPDX-License-Identifier: Apache-2.0
// What the emulated driver, runtime and libraries of CUDA share: one machine and one log.
#pragma once
#include <stdint.h>

#include <mutex>

enum class AsgMemory { PAGEABLE, PINNED, DEVICE };

// Whether the bytes lie in one block of a map from addresses to sizes.
template <typename Blocks>
bool asg_holds(const Blocks& blocks, typename Blocks::key_type at, uint64_t bytes = 1) {
    auto after = blocks.upper_bound(at);
    if (after == blocks.begin()) {
        return false;
    }
    --after;
    const uint64_t offset = (uint64_t)at - (uint64_t)after->first;
    return offset <= after->second && bytes <= after->second - offset;
}

extern std::recursive_mutex asg_mutex;  // of driver and runtime

// Of the driver (driver.cpp), whose memory both allocate from.
bool asg_lost(int device);
void asg_lose(int device);
int asg_devices();
int asg_device();  // of the calling thread's context; without one the first, as the runtime has it
void asg_set_device(int device);
uint64_t asg_memory();
uint64_t asg_free_memory();
bool asg_take(uint64_t bytes);
void asg_give(uint64_t bytes);
AsgMemory asg_kind(const void* p);

// A line of the log (runtime.cpp): what was done, by which function or kernel, on which stream, of how many bytes, blocks or
// operations. Returns the status that CUDA would give: 0, or that of a lost device.
extern "C" int asg_event(const char* what, const char* name, const void* stream, uint64_t size);
