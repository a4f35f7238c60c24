// SPDX-License-Identifier: Apache-2.0
// The CUDA driver's functions that io.github.asg4j.ffi.CudaDriver binds, on the CPU: prototypes and error numbers of
// NVIDIA's CUDA Driver API documentation, memory of the host, work done at once, launches by emulation.cpp. Arguments
// are checked as strictly as the driver might: it is here to find wrong bindings. Tests configure and break it.
#include "machine.hpp"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <mutex>
#include <set>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" int32_t asg_emulate(const char* name, uint32_t grid_x, uint32_t grid_y, uint32_t grid_z, uint32_t block,
                               void** params, int32_t order);
extern "C" const char* asg_emulated_name(int32_t i);

std::recursive_mutex asg_mutex;

namespace {

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct Context* CUcontext;
typedef struct Stream* CUstream;
typedef struct Event* CUevent;
typedef struct Module* CUmodule;
typedef const char* CUfunction;  // the kernel's name in emulation.cpp

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    PEER_ACCESS_ALREADY_ENABLED = 704,
};

// What cuDeviceGet adds to the number of a device: a handle is not a number.
enum { FIRST_HANDLE = 40 };

enum { MAX_DEVICES = 8, STREAM_NON_BLOCKING = 1, EVENT_BLOCKING_SYNC = 1, EVENT_DISABLE_TIMING = 2, HOST_PORTABLE = 1 };

struct Context {
    int retained;
    bool lost;
    std::set<CUcontext> peers;
};

struct Stream {
    CUcontext context;
    unsigned ticks;  // its clock: a quarter of a millisecond for each timed event it records
};

struct Event {
    CUcontext context;
    bool timing;
    unsigned tick;  // 0: never recorded
};

struct Module {
    CUcontext context;
};

bool initialised = false, configured = false;
int devices = 2, driver_version = 13010, architecture = 90, order = 0;
uint64_t memory = 1ull << 30, in_use = 0;
Context contexts[MAX_DEVICES];
thread_local CUcontext current = nullptr;
std::map<CUdeviceptr, uint64_t> device_memory;
std::map<void*, uint64_t> host_memory;
std::set<CUstream> streams;
std::set<CUevent> events;
std::set<CUmodule> modules;
std::string failing;
int failing_after = 0, failing_with = 0;

// The failure that a test asked for, or that the call deserves anyway.
CUresult enter(const char* function, bool needs_context) {
    if (failing == function && failing_after-- == 0) {
        failing.clear();
        return failing_with;
    }
    if (!initialised) {
        return NOT_INITIALIZED;
    }
    if (needs_context && current && current->lost) {
        return ILLEGAL_ADDRESS;
    }
    return needs_context && !current ? INVALID_CONTEXT : SUCCESS;
}

bool is_device(CUdevice device) { return device >= FIRST_HANDLE && device < FIRST_HANDLE + devices; }

bool is_context(CUcontext context) {
    return context >= contexts && context < contexts + devices && context->retained > 0;
}

// Kernels that are tried alone get memory of the host for memory of the device.
bool any_memory = false;

// Whether the bytes lie in one allocation of device memory.
bool is_device_memory(CUdeviceptr at, uint64_t bytes) {
    return any_memory || asg_holds(device_memory, at, bytes);
}

// A process that no test configures (a command line, whose CUDA this is) gets its machine from the environment.
void configure() {
    const char* text = getenv("ASG_EMULATED_DEVICES");
    devices = text ? atoi(text) : devices;
    text = getenv("ASG_EMULATED_MEMORY");
    memory = text ? strtoull(text, nullptr, 10) : memory;
    text = getenv("ASG_EMULATED_TAKEN");  // by another process
    in_use = text ? strtoull(text, nullptr, 10) : in_use;
}

}  // namespace

// ---- For runtime.cpp ----

bool asg_lost(int device) { return contexts[device].lost; }

void asg_lose(int device) { contexts[device].lost = true; }

int asg_devices() { return devices; }

int asg_device() { return current ? (int)(current - contexts) : 0; }

void asg_set_device(int device) { current = &contexts[device]; }

uint64_t asg_memory() { return memory; }

uint64_t asg_free_memory() {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    return memory - in_use;
}

bool asg_take(uint64_t bytes) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    if (bytes > memory - in_use) {
        return false;
    }
    in_use += bytes;
    return true;
}

void asg_give(uint64_t bytes) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    in_use -= bytes;
}

AsgMemory asg_kind(const void* p) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    if (asg_holds(host_memory, const_cast<void*>(p))) {
        return AsgMemory::PINNED;
    }
    return asg_holds(device_memory, reinterpret_cast<CUdeviceptr>(p)) ? AsgMemory::DEVICE : AsgMemory::PAGEABLE;
}

#define ENTER(function, needs_context)                               \
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);               \
    {                                                                \
        const CUresult status = enter(function, needs_context);      \
        if (status != SUCCESS) {                                     \
            return status;                                           \
        }                                                            \
    }
#define REQUIRE(condition, status) \
    if (!(condition)) {            \
        return status;             \
    }

EXPORT CUresult cuInit(unsigned flags) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    REQUIRE(flags == 0, INVALID_VALUE);
    if (!configured) {
        configured = true;
        configure();
    }
    REQUIRE(devices > 0, NO_DEVICE);
    initialised = true;
    return enter("cuInit", false);
}

// NVRTC asks a driver that it finds for tables of its own; there are none.
EXPORT CUresult cuGetExportTable(const void** table, const void*) {
    *table = nullptr;
    return NOT_FOUND;
}

EXPORT CUresult cuDriverGetVersion(int* version) {
    *version = driver_version;
    return SUCCESS;
}

EXPORT CUresult cuGetErrorName(CUresult error, const char** name) {
    switch (error) {
        case INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; return SUCCESS;
        case OUT_OF_MEMORY: *name = "CUDA_ERROR_OUT_OF_MEMORY"; return SUCCESS;
        case NOT_INITIALIZED: *name = "CUDA_ERROR_NOT_INITIALIZED"; return SUCCESS;
        case NO_DEVICE: *name = "CUDA_ERROR_NO_DEVICE"; return SUCCESS;
        case INVALID_DEVICE: *name = "CUDA_ERROR_INVALID_DEVICE"; return SUCCESS;
        case INVALID_IMAGE: *name = "CUDA_ERROR_INVALID_IMAGE"; return SUCCESS;
        case INVALID_CONTEXT: *name = "CUDA_ERROR_INVALID_CONTEXT"; return SUCCESS;
        case INVALID_HANDLE: *name = "CUDA_ERROR_INVALID_HANDLE"; return SUCCESS;
        case NOT_FOUND: *name = "CUDA_ERROR_NOT_FOUND"; return SUCCESS;
        case ILLEGAL_ADDRESS: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; return SUCCESS;
        default: *name = nullptr; return INVALID_VALUE;
    }
}

EXPORT CUresult cuDeviceGetCount(int* count) {
    ENTER("cuDeviceGetCount", false)
    *count = devices;
    return SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    ENTER("cuDeviceGet", false)
    REQUIRE(ordinal >= 0 && ordinal < devices, INVALID_DEVICE);
    *device = FIRST_HANDLE + ordinal;
    return SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    ENTER("cuDeviceGetName", false)
    REQUIRE(is_device(device), INVALID_DEVICE);
    REQUIRE(length > 8, INVALID_VALUE);
    strcpy(name, "Emulated");
    return SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
    ENTER("cuDeviceGetAttribute", false)
    REQUIRE(is_device(device), INVALID_DEVICE);
    REQUIRE(attribute == 16 || attribute == 75 || attribute == 76, INVALID_VALUE);
    *value = attribute == 16 ? 2 : attribute == 75 ? architecture / 10 : architecture % 10;
    return SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    ENTER("cuDevicePrimaryCtxRetain", false)
    REQUIRE(is_device(device), INVALID_DEVICE);
    *context = &contexts[device - FIRST_HANDLE];
    ++(*context)->retained;
    return SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    ENTER("cuDevicePrimaryCtxRelease", false)
    REQUIRE(is_device(device) && contexts[device - FIRST_HANDLE].retained > 0, INVALID_CONTEXT);
    --contexts[device - FIRST_HANDLE].retained;
    return SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
    ENTER("cuCtxSetCurrent", false)
    REQUIRE(is_context(context), INVALID_CONTEXT);
    current = context;
    return SUCCESS;
}

EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
    ENTER("cuMemGetInfo", true)
    *free = memory - in_use;
    *total = memory;
    return SUCCESS;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* at, size_t bytes) {
    ENTER("cuMemAlloc", true)
    REQUIRE(bytes > 0, INVALID_VALUE);
    REQUIRE(bytes <= memory - in_use, OUT_OF_MEMORY);
    void* block = nullptr;
    REQUIRE(posix_memalign(&block, 256, bytes) == 0, OUT_OF_MEMORY);
    memset(block, 0xFF, bytes);  // NaN: what was never written shows
    *at = (CUdeviceptr)block;
    device_memory[*at] = bytes;
    in_use += bytes;
    return SUCCESS;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr at) {
    ENTER("cuMemFree", true)
    const auto found = device_memory.find(at);
    REQUIRE(found != device_memory.end(), INVALID_VALUE);
    in_use -= found->second;
    device_memory.erase(found);
    free((void*)at);
    return SUCCESS;
}

EXPORT CUresult cuMemHostAlloc(void** at, size_t bytes, unsigned flags) {
    ENTER("cuMemHostAlloc", true)
    REQUIRE(bytes > 0 && flags == HOST_PORTABLE, INVALID_VALUE);
    REQUIRE(posix_memalign(at, 4096, bytes) == 0, OUT_OF_MEMORY);
    host_memory[*at] = bytes;
    return SUCCESS;
}

EXPORT CUresult cuMemFreeHost(void* at) {
    ENTER("cuMemFreeHost", true)
    REQUIRE(host_memory.erase(at) == 1, INVALID_VALUE);
    free(at);
    return SUCCESS;
}

EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
    ENTER("cuStreamCreate", true)
    REQUIRE(flags == STREAM_NON_BLOCKING, INVALID_VALUE);
    *stream = new Stream{current, 0};
    streams.insert(*stream);
    return SUCCESS;
}

EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
    ENTER("cuStreamDestroy", true)
    REQUIRE(streams.erase(stream) == 1, INVALID_HANDLE);
    delete stream;
    return SUCCESS;
}

EXPORT CUresult cuStreamSynchronize(CUstream stream) {
    ENTER("cuStreamSynchronize", true)
    asg_event("our wait", "cuStreamSynchronize", stream, 0);
    return streams.count(stream) ? SUCCESS : INVALID_HANDLE;
}

EXPORT CUresult cuEventCreate(CUevent* event, unsigned flags) {
    ENTER("cuEventCreate", true)
    REQUIRE((flags & ~EVENT_DISABLE_TIMING) == EVENT_BLOCKING_SYNC, INVALID_VALUE);
    *event = new Event{current, (flags & EVENT_DISABLE_TIMING) == 0, 0};
    events.insert(*event);
    return SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(CUevent event) {
    ENTER("cuEventDestroy", true)
    REQUIRE(events.erase(event) == 1, INVALID_HANDLE);
    delete event;
    return SUCCESS;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
    ENTER("cuEventRecord", true)
    REQUIRE(events.count(event) && streams.count(stream) && event->context == stream->context, INVALID_HANDLE);
    if (event->timing) {
        event->tick = ++stream->ticks;
    }
    return SUCCESS;
}

EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
    ENTER("cuStreamWaitEvent", true)
    REQUIRE(flags == 0, INVALID_VALUE);
    REQUIRE(events.count(event) && streams.count(stream), INVALID_HANDLE);
    return SUCCESS;
}

EXPORT CUresult cuEventSynchronize(CUevent event) {
    ENTER("cuEventSynchronize", true)
    asg_event("our wait", "cuEventSynchronize", nullptr, 0);
    return events.count(event) ? SUCCESS : INVALID_HANDLE;
}

EXPORT CUresult cuEventQuery(CUevent event) {
    ENTER("cuEventQuery", true)
    return events.count(event) ? SUCCESS : INVALID_HANDLE;
}

EXPORT CUresult cuEventElapsedTime(float* millis, CUevent start, CUevent end) {
    ENTER("cuEventElapsedTime", true)
    REQUIRE(events.count(start) && events.count(end) && start->timing && end->timing, INVALID_HANDLE);
    REQUIRE(start->tick && end->tick, INVALID_HANDLE);
    *millis = 0.25f * ((float)end->tick - (float)start->tick);
    return SUCCESS;
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    ENTER("cuMemcpyHtoDAsync", true)
    REQUIRE(streams.count(stream), INVALID_HANDLE);
    REQUIRE(is_device_memory(to, bytes), INVALID_VALUE);
    memcpy((void*)to, from, bytes);
    asg_event("our copy", "cuMemcpyHtoDAsync", stream, bytes);
    return SUCCESS;
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    ENTER("cuMemcpyDtoHAsync", true)
    REQUIRE(streams.count(stream), INVALID_HANDLE);
    REQUIRE(is_device_memory(from, bytes), INVALID_VALUE);
    memcpy(to, (const void*)from, bytes);
    asg_event("our copy", "cuMemcpyDtoHAsync", stream, bytes);
    return SUCCESS;
}

EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    ENTER("cuMemcpyDtoDAsync", true)
    REQUIRE(streams.count(stream), INVALID_HANDLE);
    REQUIRE(is_device_memory(to, bytes) && is_device_memory(from, bytes), INVALID_VALUE);
    memmove((void*)to, (const void*)from, bytes);
    asg_event("our copy", "cuMemcpyDtoDAsync", stream, bytes);
    return SUCCESS;
}

EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
                                  size_t bytes, CUstream stream) {
    ENTER("cuMemcpyPeerAsync", true)
    REQUIRE(streams.count(stream), INVALID_HANDLE);
    REQUIRE(is_context(to_context) && is_context(from_context), INVALID_CONTEXT);
    REQUIRE(is_device_memory(to, bytes) && is_device_memory(from, bytes), INVALID_VALUE);
    memmove((void*)to, (const void*)from, bytes);
    asg_event("our copy", "cuMemcpyPeerAsync", stream, bytes);
    return SUCCESS;
}

EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
    ENTER("cuMemsetD8Async", true)
    REQUIRE(streams.count(stream), INVALID_HANDLE);
    REQUIRE(is_device_memory(to, bytes), INVALID_VALUE);
    memset((void*)to, value, bytes);
    asg_event("our set", "cuMemsetD8Async", stream, bytes);
    return SUCCESS;
}

EXPORT CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
    ENTER("cuDeviceCanAccessPeer", false)
    REQUIRE(is_device(device) && is_device(peer), INVALID_DEVICE);
    *can = device != peer;
    return SUCCESS;
}

EXPORT CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
    ENTER("cuCtxEnablePeerAccess", true)
    REQUIRE(flags == 0, INVALID_VALUE);
    REQUIRE(is_context(peer), INVALID_CONTEXT);
    return current->peers.insert(peer).second ? SUCCESS : PEER_ACCESS_ALREADY_ENABLED;
}

EXPORT CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    ENTER("cuModuleLoadData", true)
    REQUIRE(memcmp(image, "\177ELF", 4) == 0, INVALID_IMAGE);
    *module = new Module{current};
    modules.insert(*module);
    return SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule module) {
    ENTER("cuModuleUnload", true)
    REQUIRE(modules.erase(module) == 1, INVALID_HANDLE);
    delete module;
    return SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    ENTER("cuModuleGetFunction", true)
    REQUIRE(modules.count(module), INVALID_HANDLE);
    for (int32_t i = 0; asg_emulated_name(i); ++i) {
        if (strcmp(asg_emulated_name(i), name) == 0) {
            *function = asg_emulated_name(i);
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                               unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                               CUstream stream, void** params, void** extra) {
    ENTER("cuLaunchKernel", true)
    REQUIRE(streams.count(stream), INVALID_HANDLE);
    REQUIRE(block_y == 1 && block_z == 1 && shared_bytes == 0 && !extra, INVALID_VALUE);
    REQUIRE(grid_x >= 1 && grid_x <= 0x7FFFFFFF && grid_y >= 1 && grid_y <= 65535 && grid_z >= 1 && grid_z <= 65535,
            INVALID_VALUE);
    asg_event("our kernel", function, stream, (uint64_t)grid_x * grid_y * grid_z);
    return asg_emulate(function, grid_x, grid_y, grid_z, block_x, params, order) == 0 ? SUCCESS : INVALID_VALUE;
}

// ---- For tests ----

// A new driver: nothing initialised, nothing allocated; leaks what was not freed.
EXPORT void asg_emulated_reset(int device_count, int version, int arch, int64_t bytes, int thread_order) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    devices = device_count;
    driver_version = version;
    architecture = arch;
    memory = (uint64_t)bytes;
    order = thread_order;
    initialised = false;
    configured = true;
    any_memory = false;
    current = nullptr;
    in_use = 0;
    device_memory.clear();
    host_memory.clear();
    streams.clear();
    events.clear();
    modules.clear();
    failing.clear();
    for (Context& context : contexts) {
        context = Context();
    }
}

// The call of `function` after the next `after` ones fails with `status`.
EXPORT void asg_emulated_fail(const char* function, int after, int status) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    failing = function;
    failing_after = after;
    failing_with = status;
}

EXPORT void asg_emulated_any_memory(void) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    any_memory = true;
}

// From now on every call for a device fails, as after an error that its context does not survive.
EXPORT void asg_emulated_lose(int device) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    contexts[device].lost = true;
}

// Allocations, streams, events, modules and retained contexts that are left.
EXPORT int asg_emulated_left(void) {
    std::lock_guard<std::recursive_mutex> lock(asg_mutex);
    size_t left = device_memory.size() + host_memory.size() + streams.size() + events.size() + modules.size();
    for (const Context& context : contexts) {
        left += (size_t)context.retained;
    }
    return (int)left;
}
