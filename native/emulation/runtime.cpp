// SPDX-License-Identifier: Apache-2.0
// What ONNX Runtime's CUDA provider asks of CUDA's runtime (libcudart.so.13), on a machine without a GPU: prototypes
// and numbers of NVIDIA's CUDA Runtime API documentation, memory of the host, copies done at once. Kernels are counted
// and not run, so results mean nothing; what a run launches, copies, allocates and waits for is what a GPU would see.
// Every call that does something on a device is a line of the log (ASG_EMULATED_LOG=FILE): what, name, device and stream,
// bytes, blocks or operations.
#include "machine.hpp"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

typedef int cudaError_t;
typedef void* cudaStream_t;
typedef void* cudaEvent_t;

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    ILLEGAL_ADDRESS = 700,
    CAPTURE_UNSUPPORTED = 900,
};

struct Dimensions {
    unsigned x, y, z;
};

// A kernel may have more shared memory only after it was asked for, on each device.
enum { SHARED_BYTES = 48 << 10, SHARED_BYTES_OPT_IN = 227 << 10, MAX_DYNAMIC_SHARED_BYTES = 8 };

FILE* const log_file = getenv("ASG_EMULATED_LOG") ? fopen(getenv("ASG_EMULATED_LOG"), "w") : nullptr;
// ASG_EMULATED_LOSE=DEVICE:EVENTS: the device is lost after so many lines of the provider's in the log.
const char* const lose = getenv("ASG_EMULATED_LOSE");
const int lose_device = lose ? atoi(lose) : -1;
long lose_after = lose && strchr(lose, ':') ? atol(strchr(lose, ':') + 1) : -1;
thread_local cudaError_t last = SUCCESS;
std::map<const void*, uint64_t> device_memory, pinned;  // bytes by address
std::unordered_map<const void*, std::string> kernels;
std::map<std::pair<const void*, int>, size_t> allowed;  // shared memory by kernel and device
uint64_t handles = 0x1000;
bool capturing = false;

struct Pending {
    Dimensions grid, block;
    size_t shared;
    cudaStream_t stream;
};
thread_local Pending pending;

cudaError_t fail(cudaError_t status) {
    if (status != SUCCESS) {
        last = status;
    }
    return status;
}

// What the driver gave counts too.
bool is_device(const void* p) { return asg_kind(p) == AsgMemory::DEVICE || asg_holds(device_memory, p); }

bool is_pinned(const void* p) { return asg_kind(p) == AsgMemory::PINNED || asg_holds(pinned, p); }

void* handle() { return reinterpret_cast<void*>(handles += 0x10); }

}  // namespace

#define ENTER                                              \
    std::lock_guard<std::recursive_mutex> lock(asg_mutex); \
    if (asg_lost(asg_device())) {                          \
        return fail(ILLEGAL_ADDRESS);                      \
    }

EXPORT int asg_event(const char* what, const char* name, const void* stream, uint64_t size) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    const bool ours = strncmp(what, "our ", 4) == 0;
    const int device = asg_device();
    if (!ours && lose_after >= 0 && device == lose_device && lose_after-- == 0) {
        asg_lose(device);
    }
    if (log_file) {
        fprintf(log_file, "%s\t%s\t%d:%llx\t%llu\n", what, name, device, (unsigned long long)(uintptr_t)stream,
                (unsigned long long)size);
        fflush(log_file);
    }
    return asg_lost(device) ? ILLEGAL_ADDRESS : SUCCESS;
}

namespace {

void event(const char* what, const char* name, cudaStream_t stream, uint64_t bytes = 0) {
    asg_event(what, name, stream, bytes);
}

cudaError_t wait(const char* name, cudaStream_t stream) {
    event("wait", name, stream);
    return capturing ? fail(CAPTURE_UNSUPPORTED) : SUCCESS;
}

cudaError_t launch(const void* function, Dimensions grid, Dimensions block, size_t shared, cudaStream_t stream) {
    auto found = kernels.find(function);
    if (found == kernels.end()) {
        return fail(98);  // invalid device function
    }
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x * block.y * block.z == 0 ||
        block.x * block.y * block.z > 1024 || grid.y > 65535 || grid.z > 65535) {
        event("bad launch", found->second.c_str(), stream);
        return fail(9);  // invalid configuration
    }
    if (shared > SHARED_BYTES && shared > allowed[{function, asg_device()}]) {
        event("bad launch", found->second.c_str(), stream, shared);
        return fail(INVALID_VALUE);
    }
    event("kernel", found->second.c_str(), stream, (uint64_t)grid.x * grid.y * grid.z);
    return SUCCESS;
}

cudaError_t copy(const char* name, void* to, const void* from, size_t bytes, cudaStream_t stream, bool waits) {
    const bool to_device = is_device(to), from_device = is_device(from);
    const char* kind = to_device ? (from_device ? "copy on device" : "copy to device")
                                 : (from_device ? "copy to host" : "copy on host");
    event(kind, name, stream, bytes);
    // A copy between a device and memory that is not page-locked holds up the host.
    const void* host = to_device ? from : to;
    if (to_device != from_device && (waits || !is_pinned(host))) {
        if (wait(waits ? name : "pageable memory", stream)) {
            return CAPTURE_UNSUPPORTED;
        }
    }
    memmove(to, from, bytes);
    return SUCCESS;
}

cudaError_t allocate(void** out, size_t bytes, const char* name) {
    if (capturing) {
        return fail(CAPTURE_UNSUPPORTED);
    }
    if (!asg_take(bytes)) {
        event("out of memory", name, nullptr, bytes);
        *out = nullptr;
        return fail(OUT_OF_MEMORY);
    }
    void* p = mmap(nullptr, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return fail(OUT_OF_MEMORY);
    }
    device_memory[p] = bytes;
    event("allocate", name, nullptr, bytes);
    *out = p;
    return SUCCESS;
}

cudaError_t release(void* p, const char* name, bool waits) {
    if (!p) {
        return SUCCESS;
    }
    auto found = device_memory.find(p);
    if (found == device_memory.end()) {
        return fail(INVALID_VALUE);
    }
    event("free", name, nullptr, found->second);
    asg_give(found->second);
    munmap(p, found->second ? found->second : 1);
    device_memory.erase(found);
    return waits ? wait(name, nullptr) : SUCCESS;
}

}  // namespace

// Code of the provider

EXPORT void** __cudaRegisterFatBinary(void*) {
    static void* binary;
    return &binary;
}
EXPORT void __cudaRegisterFatBinaryEnd(void**) {}
EXPORT void __cudaUnregisterFatBinary(void**) {}
EXPORT void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
EXPORT void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, void*, void*, void*, void*,
                                   int*) {
    kernels[host] = name;
}
EXPORT unsigned __cudaPushCallConfiguration(Dimensions grid, Dimensions block, size_t shared, void* stream) {
    pending = {grid, block, shared, stream};
    return 0;
}
EXPORT cudaError_t __cudaPopCallConfiguration(Dimensions* grid, Dimensions* block, size_t* shared, void* stream) {
    *grid = pending.grid;
    *block = pending.block;
    *shared = pending.shared;
    *static_cast<cudaStream_t*>(stream) = pending.stream;
    return SUCCESS;
}
EXPORT cudaError_t __cudaGetKernel(const void** kernel, const void* function) {
    *kernel = function;
    return SUCCESS;
}
EXPORT cudaError_t __cudaLaunchKernel(const void* kernel, Dimensions grid, Dimensions block, void**, size_t shared,
                                      cudaStream_t stream) {
    ENTER
    return launch(kernel, grid, block, shared, stream);
}
EXPORT cudaError_t cudaLaunchKernelExC(const void* config, const void* function, void**) {
    ENTER
    struct Config {
        Dimensions grid, block;
        size_t shared;
        cudaStream_t stream;
    };
    const Config* c = static_cast<const Config*>(config);
    return launch(function, c->grid, c->block, c->shared, c->stream);
}
EXPORT cudaError_t cudaFuncGetAttributes(void* attributes, const void*) {
    int* p = static_cast<int*>(attributes);
    memset(p, 0, 144);
    p[6] = 1024;  // threads a block
    p[7] = 32;    // registers
    p[9] = 90;    // binary version
    return SUCCESS;
}
EXPORT cudaError_t cudaFuncSetAttribute(const void* function, int attribute, int value) {
    ENTER
    if (attribute == MAX_DYNAMIC_SHARED_BYTES) {
        if (value < 0 || value > SHARED_BYTES_OPT_IN) {
            return fail(INVALID_VALUE);
        }
        allowed[{function, asg_device()}] = value;
    }
    return SUCCESS;
}
EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, size_t,
                                                                          unsigned) {
    *blocks = 2;
    return SUCCESS;
}

// Devices: an H200 as far as anybody asks

EXPORT cudaError_t cudaGetDeviceCount(int* count) {
    *count = asg_devices();
    return *count ? SUCCESS : fail(NO_DEVICE);
}
EXPORT cudaError_t cudaGetDevice(int* device) {
    *device = asg_device();
    return SUCCESS;
}
EXPORT cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= asg_devices()) {
        return fail(INVALID_DEVICE);
    }
    asg_set_device(device);
    return SUCCESS;
}
EXPORT cudaError_t cudaGetDeviceProperties(void* properties, int) {
    char* p = static_cast<char*>(properties);
    memset(p, 0, 1008);
    strcpy(p, "emulated device");
    auto set = [p](size_t offset, int value) { memcpy(p + offset, &value, sizeof(value)); };
    auto wide = [p](size_t offset, uint64_t value) { memcpy(p + offset, &value, sizeof(value)); };
    wide(288, asg_memory());
    wide(296, SHARED_BYTES);  // shared memory a block
    set(304, 65536);      // registers a block
    set(308, 32);         // warp
    set(320, 1024);       // threads a block
    set(324, 1024);
    set(328, 1024);
    set(332, 64);
    set(336, 0x7fffffff);  // grid
    set(340, 65535);
    set(344, 65535);
    wide(352, 64 << 10);
    set(360, 9);  // compute capability
    set(364, 0);
    set(384, 132);  // multiprocessors
    set(584, 3);
    set(588, 1);
    set(596, 50 << 20);  // L2
    set(604, 2048);      // threads a multiprocessor
    wide(624, 228 << 10);
    set(632, 65536);
    set(668, 1);
    wide(672, SHARED_BYTES_OPT_IN);  // shared memory a block, when asked for
    set(688, 32);
    set(720, 1);
    return SUCCESS;
}
EXPORT cudaError_t cudaDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 1: *value = 1024; break;        // threads a block
        case 8: *value = SHARED_BYTES; break;    // shared memory a block
        case 10: *value = 32; break;         // warp
        case 16: *value = 132; break;        // multiprocessors
        case 39: *value = 2048; break;       // threads a multiprocessor
        case 75: *value = 9; break;          // compute capability
        case 76: *value = 0; break;
        case 81: *value = 228 << 10; break;  // shared memory a multiprocessor
        case 97: *value = SHARED_BYTES_OPT_IN; break;  // shared memory a block, when asked for
        case 115: *value = 1; break;         // memory pools
        default: *value = 0; break;
    }
    return SUCCESS;
}
EXPORT cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13010;
    return SUCCESS;
}
EXPORT cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = 13010;
    return SUCCESS;
}
EXPORT cudaError_t cudaGetLastError() {
    const cudaError_t status = last;
    last = SUCCESS;
    return status;
}
EXPORT cudaError_t cudaPeekAtLastError() { return last; }
EXPORT const char* cudaGetErrorName(cudaError_t status) {
    switch (status) {
        case SUCCESS: return "cudaSuccess";
        case OUT_OF_MEMORY: return "cudaErrorMemoryAllocation";
        case NO_DEVICE: return "cudaErrorNoDevice";
        case INVALID_DEVICE: return "cudaErrorInvalidDevice";
        case ILLEGAL_ADDRESS: return "cudaErrorIllegalAddress";
        case CAPTURE_UNSUPPORTED: return "cudaErrorStreamCaptureUnsupported";
        default: return "cudaErrorOfTheEmulation";
    }
}
EXPORT const char* cudaGetErrorString(cudaError_t status) {
    switch (status) {
        case SUCCESS: return "no error";
        case OUT_OF_MEMORY: return "out of memory";
        case NO_DEVICE: return "no CUDA-capable device is detected";
        case INVALID_DEVICE: return "invalid device ordinal";
        case ILLEGAL_ADDRESS: return "an illegal memory access was encountered";
        case CAPTURE_UNSUPPORTED: return "operation not permitted when stream is capturing";
        default: return "an error of the emulation";
    }
}

// Streams and events

EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    ENTER
    *stream = handle();
    return SUCCESS;
}
EXPORT cudaError_t cudaStreamDestroy(cudaStream_t) { return SUCCESS; }
EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    ENTER
    return wait("cudaStreamSynchronize", stream);
}
EXPORT cudaError_t cudaDeviceSynchronize() {
    ENTER
    return wait("cudaDeviceSynchronize", nullptr);
}
EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t, unsigned) {
    ENTER
    event("behind event", "cudaStreamWaitEvent", stream);
    return SUCCESS;
}
EXPORT cudaError_t cudaEventCreate(cudaEvent_t* e) {
    ENTER
    *e = handle();
    return SUCCESS;
}
EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
    ENTER
    *e = handle();
    return SUCCESS;
}
EXPORT cudaError_t cudaEventDestroy(cudaEvent_t) { return SUCCESS; }
EXPORT cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t stream) {
    ENTER
    event("record", "cudaEventRecord", stream);
    return SUCCESS;
}
EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t) {
    ENTER
    return wait("cudaEventSynchronize", nullptr);
}
EXPORT cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) {
    *ms = 1;
    return SUCCESS;
}
EXPORT cudaError_t cudaLaunchHostFunc(cudaStream_t stream, void (*function)(void*), void* data) {
    {
        ENTER
        event("host function", "cudaLaunchHostFunc", stream);
    }
    function(data);
    return SUCCESS;
}

// Memory

EXPORT cudaError_t cudaMalloc(void** out, size_t bytes) {
    ENTER
    return allocate(out, bytes, "cudaMalloc");
}
EXPORT cudaError_t cudaMallocFromPoolAsync(void** out, size_t bytes, void*, cudaStream_t) {
    ENTER
    return allocate(out, bytes, "cudaMallocFromPoolAsync");
}
EXPORT cudaError_t cudaFree(void* p) {
    ENTER
    return release(p, "cudaFree", true);
}
EXPORT cudaError_t cudaFreeAsync(void* p, cudaStream_t) {
    ENTER
    return release(p, "cudaFreeAsync", false);
}
EXPORT cudaError_t cudaHostAlloc(void** out, size_t bytes, unsigned) {
    ENTER
    *out = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    pinned[*out] = bytes;
    event("allocate pinned", "cudaHostAlloc", nullptr, bytes);
    return SUCCESS;
}
EXPORT cudaError_t cudaMallocHost(void** out, size_t bytes) { return cudaHostAlloc(out, bytes, 0); }
EXPORT cudaError_t cudaFreeHost(void* p) {
    ENTER
    pinned.erase(p);
    free(p);
    return SUCCESS;
}
EXPORT cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
    ENTER
    *available = asg_free_memory();
    *total = asg_memory();
    return SUCCESS;
}
EXPORT cudaError_t cudaMemPoolCreate(void** pool, const void*) {
    *pool = handle();
    return SUCCESS;
}
EXPORT cudaError_t cudaMemPoolDestroy(void*) { return SUCCESS; }
EXPORT cudaError_t cudaMemPoolGetAttribute(void*, int, void* value) {
    memset(value, 0, 8);
    return SUCCESS;
}
EXPORT cudaError_t cudaMemPoolSetAttribute(void*, int, void*) { return SUCCESS; }
EXPORT cudaError_t cudaMemPoolTrimTo(void*, size_t) { return SUCCESS; }
EXPORT cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, int) {
    ENTER
    return copy("cudaMemcpy", to, from, bytes, nullptr, true);
}
EXPORT cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, int, cudaStream_t stream) {
    ENTER
    return copy("cudaMemcpyAsync", to, from, bytes, stream, false);
}
EXPORT cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                                     size_t height, int, cudaStream_t stream) {
    ENTER
    event("copy on device", "cudaMemcpy2DAsync", stream, width * height);
    for (size_t y = 0; y < height; y++) {
        memmove(static_cast<char*>(to) + y * to_pitch, static_cast<const char*>(from) + y * from_pitch, width);
    }
    return SUCCESS;
}
EXPORT cudaError_t cudaMemset(void* p, int value, size_t bytes) {
    ENTER
    event("set", "cudaMemset", nullptr, bytes);
    memset(p, value, bytes);
    return SUCCESS;
}
EXPORT cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
    ENTER
    event("set", "cudaMemsetAsync", stream, bytes);
    memset(p, value, bytes);
    return SUCCESS;
}

// Graphs

EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int) {
    ENTER
    event("begin capture", "cudaStreamBeginCapture", stream);
    capturing = true;
    return SUCCESS;
}
EXPORT cudaError_t cudaStreamEndCapture(cudaStream_t stream, void** graph) {
    ENTER
    capturing = false;
    event("end capture", "cudaStreamEndCapture", stream);
    *graph = handle();
    return SUCCESS;
}
EXPORT cudaError_t cudaGraphInstantiate(void** executable, void*, unsigned long long) {
    *executable = handle();
    return SUCCESS;
}
EXPORT cudaError_t cudaGraphLaunch(void*, cudaStream_t stream) {
    ENTER
    event("graph", "cudaGraphLaunch", stream);
    return SUCCESS;
}
EXPORT cudaError_t cudaGraphDestroy(void*) { return SUCCESS; }
EXPORT cudaError_t cudaGraphExecDestroy(void*) { return SUCCESS; }
