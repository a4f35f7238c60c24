// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdint.h>

// A line of the log; the status that CUDA would give, 0 or that of a lost device.
extern "C" int asg_runtime_event(const char* what, const char* name, void* stream, uint64_t bytes);
