// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime asks for the shared memory of its attention kernels once a process, by a static variable; CUDA wants it
// asked for on every device. Where the autoencoder's attention ran on one GPU, its launch fails on all others: in a
// second engine, or when the first device is lost. So this library stands before CUDA's runtime for that one function,
// and repeats on each device what was asked for on any.
#include <dlfcn.h>
#include <pthread.h>

#include "asg_cpu.h"

namespace {

enum { SUCCESS = 0, NOT_INITIALISED = 3, MAX_DYNAMIC_SHARED_BYTES = 8, MOST_FUNCTIONS = 1024, MOST_DEVICES = 64 };

struct Asked {
    const void* function;
    int bytes;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
Asked asked[MOST_FUNCTIONS];
int count = 0;
bool known[MOST_DEVICES];

template <typename Function>
Function of_runtime(const char* name) {
    void* runtime = dlopen("libcudart.so.13", RTLD_NOW | RTLD_NOLOAD);
    return runtime ? reinterpret_cast<Function>(dlsym(runtime, name)) : nullptr;
}

typedef int (*SetAttribute)(const void*, int, int);

SetAttribute set_attribute() {
    static const SetAttribute function = of_runtime<SetAttribute>("cudaFuncSetAttribute");
    return function;
}

// Does the work on a device, and comes back. What fails there (it may be lost) is not the caller's error.
template <typename Work>
void on(int device, Work work) {
    static const auto get = of_runtime<int (*)(int*)>("cudaGetDevice");
    static const auto set = of_runtime<int (*)(int)>("cudaSetDevice");
    static const auto forget = of_runtime<int (*)()>("cudaGetLastError");
    int before;
    if (!get || !set || !forget || get(&before) != SUCCESS) {
        return;
    }
    if (before == device) {
        work();
    } else if (set(device) == SUCCESS) {
        work();
        set(before);
    }
    forget();
}

// Whether more is asked for the function than ever before; that is remembered.
bool remember(const void* function, int bytes) {
    for (int i = 0; i < count; i++) {
        if (asked[i].function == function) {
            const bool more = bytes > asked[i].bytes;
            asked[i].bytes = more ? bytes : asked[i].bytes;
            return more;
        }
    }
    if (count < MOST_FUNCTIONS) {
        asked[count++] = {function, bytes};
    }
    return true;
}

}  // namespace

// In the place of CUDA's own, once asg_cuda_device was called.
extern "C" __attribute__((visibility("default"))) int cudaFuncSetAttribute(const void* function, int attribute, int value) {
    if (!set_attribute()) {
        return NOT_INITIALISED;
    }
    const int status = set_attribute()(function, attribute, value);
    if (status != SUCCESS || attribute != MAX_DYNAMIC_SHARED_BYTES) {
        return status;
    }
    pthread_mutex_lock(&mutex);
    if (remember(function, value)) {
        for (int device = 0; device < MOST_DEVICES; device++) {
            if (known[device]) {
                on(device, [&] { set_attribute()(function, attribute, value); });
            }
        }
    }
    pthread_mutex_unlock(&mutex);
    return status;
}

int32_t asg_cuda_device(int32_t device) {
    // Symbols of a library that was opened for everybody come before those of a library's own dependencies.
    Dl_info self;
    if (device < 0 || device >= MOST_DEVICES || !dladdr(reinterpret_cast<const void*>(&asg_cuda_device), &self) ||
        !dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL) || !set_attribute()) {
        return ASG_BAD_OPTION;
    }
    pthread_mutex_lock(&mutex);
    if (!known[device]) {
        known[device] = true;
        on(device, [] {
            for (int i = 0; i < count; i++) {
                set_attribute()(asked[i].function, MAX_DYNAMIC_SHARED_BYTES, asked[i].bytes);
            }
        });
    }
    pthread_mutex_unlock(&mutex);
    return ASG_OK;
}
