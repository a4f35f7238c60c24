// SPDX-License-Identifier: Apache-2.0
// What ONNX Runtime's CUDA provider asks of cuBLAS, cuFFT and cuDNN, beside runtime.cpp: handles, workspaces of no bytes,
// and a line of the log for each piece of work, with its extents. Nothing is computed.
#pragma once
#include "machine.hpp"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <map>
#include <mutex>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))
// Functions that only have to succeed, whatever their parameters are.
#define SUCCEEDS(name) \
    EXPORT int name() { return 0; }
// Functions whose first parameter takes a new handle.
#define MAKES(name)                    \
    EXPORT int name(void** made) {     \
        *made = new char[512]();       \
        return 0;                      \
    }
// Functions that no network of ours calls: they fail, with the library's own number for that.
#define REFUSES(name, status) \
    EXPORT int name() { return status; }

// The stream of a library's handle.
class Streams {
public:
    void* of(void* handle) {
        std::lock_guard<std::mutex> lock(mutex_);
        return streams_[handle];
    }

    void set(void* handle, void* stream) {
        std::lock_guard<std::mutex> lock(mutex_);
        streams_[handle] = stream;
    }

private:
    std::mutex mutex_;
    std::map<void*, void*> streams_;
};
