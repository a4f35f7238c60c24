// SPDX-License-Identifier: Apache-2.0
// What ONNX Runtime's CUDA provider asks of cuBLAS, cuFFT and cuDNN, beside runtime.cpp: handles, workspaces of no
// bytes, and a line of the log for each piece of work, with its extents. Nothing is computed. cuDNN's graphs (its
// backend interface) keep what was set, so that a convolution can say its tensors.
#include "runtime.hpp"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))
// Functions that only have to succeed, whatever their parameters are.
#define SUCCEEDS(name) \
    EXPORT int name() { return 0; }
// Functions whose first parameter takes a new handle.
#define MAKES(name)                                                              \
    EXPORT int name(void** made) {                                               \
        *made = new char[512]();                                                 \
        return 0;                                                                \
    }

namespace {

std::mutex mutex;
std::map<void*, void*> streams;  // of a handle

void* stream_of(void* handle) {
    std::lock_guard<std::mutex> lock(mutex);
    return streams[handle];
}

int set_stream(void* handle, void* stream) {
    std::lock_guard<std::mutex> lock(mutex);
    streams[handle] = stream;
    return 0;
}

// 13 is an execution failure, to cuBLAS; cuDNN has a number of its own.
int work(const char* what, const std::string& name, void* stream, uint64_t operations, int failed = 13) {
    return asg_runtime_event(what, name.c_str(), stream, operations) ? failed : 0;
}

int gemm(const char* name, void* handle, int m, int n, int k, int batch, int type) {
    char text[160];
    snprintf(text, sizeof(text), "%s m %d n %d k %d batch %d type %d", name, m, n, k, batch, type);
    return work("gemm", text, stream_of(handle), 2ull * m * n * k * batch);
}

}  // namespace

#ifdef ASG_CUBLAS
MAKES(cublasCreate_v2)
SUCCEEDS(cublasDestroy_v2)
EXPORT int cublasSetStream_v2(void* handle, void* stream) { return set_stream(handle, stream); }
EXPORT int cublasGetMathMode(void*, int* mode) {
    *mode = 0;
    return 0;
}
SUCCEEDS(cublasSetMathMode)
EXPORT int cublasSgemm_v2(void* handle, int, int, int m, int n, int k) {
    return gemm("cublasSgemm", handle, m, n, k, 1, 0);
}
EXPORT int cublasGemmEx(void* handle, int, int, int m, int n, int k, const void*, const void*, int type) {
    return gemm("cublasGemmEx", handle, m, n, k, 1, type);
}
EXPORT int cublasSgemmStridedBatched(void* handle, int, int, int m, int n, int k, const void*, const void*, int,
                                     long long, const void*, int, long long, const void*, void*, int, long long,
                                     int batch) {
    return gemm("cublasSgemmStridedBatched", handle, m, n, k, batch, 0);
}
EXPORT int cublasGemmStridedBatchedEx(void* handle, int, int, int m, int n, int k, const void*, const void*, int type,
                                      int, long long, const void*, int, int, long long, const void*, void*, int, int,
                                      long long, int batch) {
    return gemm("cublasGemmStridedBatchedEx", handle, m, n, k, batch, type);
}
EXPORT int cublasGemmBatchedEx(void* handle, int, int, int m, int n, int k, const void*, const void*, int type, int,
                               const void*, int, int, const void*, void*, int, int, int batch) {
    return gemm("cublasGemmBatchedEx", handle, m, n, k, batch, type);
}
EXPORT int cublasSgemmBatched(void* handle, int, int, int m, int n, int k, const void*, const void*, int, const void*,
                              int, const void*, void*, int, int batch) {
    return gemm("cublasSgemmBatched", handle, m, n, k, batch, 0);
}
EXPORT int cublasSgeam(void* handle, int, int, int m, int n) {
    return work("transpose", "cublasSgeam", stream_of(handle), (uint64_t)m * n);
}
// Of types that no network of ours has: they fail.
#define FAILS(name) \
    EXPORT int name() { return 15; }
FAILS(cublasDcopy_v2)
FAILS(cublasDgeam)
FAILS(cublasDgemmBatched)
FAILS(cublasDgemmStridedBatched)
FAILS(cublasDgemm_v2)
FAILS(cublasDgetrfBatched)
FAILS(cublasDgetriBatched)
FAILS(cublasSgetrfBatched)
FAILS(cublasSgetriBatched)
FAILS(cublasScopy_v2)
FAILS(cublasSscal_v2)
#endif

#ifdef ASG_CUBLASLT
MAKES(cublasLtCreate)
SUCCEEDS(cublasLtDestroy)
MAKES(cublasLtMatmulDescCreate)
SUCCEEDS(cublasLtMatmulDescDestroy)
SUCCEEDS(cublasLtMatmulDescSetAttribute)
MAKES(cublasLtMatmulPreferenceCreate)
SUCCEEDS(cublasLtMatmulPreferenceDestroy)
SUCCEEDS(cublasLtMatmulPreferenceSetAttribute)
EXPORT int cublasLtMatrixLayoutCreate(uint64_t** made, int type, uint64_t rows, uint64_t columns, int64_t) {
    *made = new uint64_t[64]();
    (*made)[0] = type;
    (*made)[1] = rows;
    (*made)[2] = columns;
    return 0;
}
SUCCEEDS(cublasLtMatrixLayoutDestroy)
SUCCEEDS(cublasLtMatrixLayoutSetAttribute)
SUCCEEDS(cublasLtMatmulAlgoInit)
SUCCEEDS(cublasLtMatmulAlgoConfigSetAttribute)
MAKES(cublasLtMatrixTransformDescCreate)
SUCCEEDS(cublasLtMatrixTransformDescDestroy)
SUCCEEDS(cublasLtMatrixTransform)
EXPORT int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, char* results,
                                          int* found) {
    memset(results, 0, 96);
    *found = 1;
    return 0;
}
EXPORT int cublasLtMatmul(void*, void*, const void*, const void*, const uint64_t* a, const void*, const uint64_t* b,
                          const void*, const void*, const void*, void*, const uint64_t* d, const void*, void*, size_t,
                          void* stream) {
    const uint64_t k = a[1] == d[1] ? a[2] : a[1];
    char text[160];
    snprintf(text, sizeof(text), "cublasLtMatmul m %d n %d k %d type %d", (int)d[1], (int)d[2], (int)k, (int)a[0]);
    (void)b;
    return work("gemm", text, stream, 2 * d[1] * d[2] * k);
}
#endif

#ifdef ASG_CUFFT
MAKES(cufftCreate)
SUCCEEDS(cufftDestroy)
SUCCEEDS(cufftSetStream)
SUCCEEDS(cufftXtMakePlanMany)
EXPORT int cufftXtExec() { return 5; }
#endif

#ifdef ASG_CUDNN
namespace {

enum { FAILED = 5000, NOT_SUPPORTED = 3000, DESCRIPTOR = 15 };
enum {
    HEURISTIC_GRAPH = 201,
    HEURISTIC_RESULTS = 202,
    CONFIGURATION_ENGINE = 300,
    PLAN_CONFIGURATION = 401,
    GRAPH_OPERATIONS = 801,
    TENSOR_DIMENSIONS = 902,
    TENSOR_STRIDES = 903,
    CONVOLUTION_W = 703,
    CONVOLUTION_X = 704,
    CONVOLUTION_Y = 705,
};

struct Descriptor {
    int type;
    std::map<int, std::vector<int64_t>> set;

    Descriptor* to(int attribute, size_t i = 0) {
        auto found = set.find(attribute);
        return found == set.end() || found->second.size() <= i ? nullptr
                                                               : reinterpret_cast<Descriptor*>(found->second[i]);
    }
};

int bytes_of(int type) {
    switch (type) {
        case 0: case 3: case 5: case 6: case DESCRIPTOR: return 8;
        case 2: case 24: return 1;
        default: return 4;
    }
}

std::string extents(Descriptor* tensor) {
    std::string text;
    if (tensor) {
        for (int64_t e : tensor->set[TENSOR_DIMENSIONS]) {
            text += (text.empty() ? "" : "x") + std::to_string(e);
        }
        const auto& strides = tensor->set[TENSOR_STRIDES];
        text += strides.size() == 4 && strides[1] == 1 ? " nhwc" : "";
    }
    return text;
}

}  // namespace

EXPORT int cudnnBackendCreateDescriptor(int type, void** made) {
    *made = new Descriptor{type, {}};
    return 0;
}
EXPORT int cudnnBackendDestroyDescriptor(void*) { return 0; }
EXPORT int cudnnBackendFinalize(void*) { return 0; }
EXPORT int cudnnBackendSetAttribute(void* descriptor, int name, int type, int64_t count, const void* values) {
    std::vector<int64_t>& set = static_cast<Descriptor*>(descriptor)->set[name];
    set.assign(count, 0);
    const int bytes = bytes_of(type);
    for (int64_t i = 0; i < count; i++) {
        memcpy(&set[i], static_cast<const char*>(values) + i * bytes, bytes);
    }
    return 0;
}
EXPORT int cudnnBackendGetAttribute(void* descriptor, int name, int type, int64_t wanted, int64_t* count,
                                    void* values) {
    Descriptor* d = static_cast<Descriptor*>(descriptor);
    int64_t ignored;
    int64_t& n = count ? *count : ignored;
    if (type == DESCRIPTOR) {
        n = 1;  // one way to do everything; what is asked for is filled by the caller's descriptor
        if (name == HEURISTIC_RESULTS && wanted > 0 && values) {
            Descriptor* configuration = *static_cast<Descriptor**>(values);
            configuration->set[HEURISTIC_GRAPH] = d->set[HEURISTIC_GRAPH];
        } else if (name != HEURISTIC_RESULTS && name != CONFIGURATION_ENGINE) {
            n = 0;
        }
        return 0;
    }
    auto found = d->set.find(name);
    if (found != d->set.end()) {
        n = found->second.size();
        for (int64_t i = 0; values && i < n && i < wanted; i++) {
            memcpy(static_cast<char*>(values) + i * bytes_of(type), &found->second[i], bytes_of(type));
        }
        return 0;
    }
    if (type == 3 || type == 23) {
        n = 1;
        if (values && wanted > 0) {
            memset(values, 0, bytes_of(type));
        }
        return 0;
    }
    n = 0;
    return 0;
}
EXPORT int cudnnBackendExecute(void* handle, void* plan, void*) {
    std::string text = "graph";
    uint64_t operations = 0;
    Descriptor* configuration = static_cast<Descriptor*>(plan)->to(PLAN_CONFIGURATION);
    Descriptor* graph = configuration ? configuration->to(HEURISTIC_GRAPH) : nullptr;
    for (size_t i = 0; graph && i < graph->set[GRAPH_OPERATIONS].size(); i++) {
        Descriptor* operation = graph->to(GRAPH_OPERATIONS, i);
        Descriptor* x = operation->to(CONVOLUTION_X);
        Descriptor* w = operation->to(CONVOLUTION_W);
        Descriptor* y = operation->to(CONVOLUTION_Y);
        if (x && w && y) {
            text = "convolution " + extents(x) + " by " + extents(w);
            uint64_t each = 2;
            for (size_t e = 1; e < w->set[TENSOR_DIMENSIONS].size(); e++) {
                each *= w->set[TENSOR_DIMENSIONS][e];
            }
            for (int64_t e : y->set[TENSOR_DIMENSIONS]) {
                each *= e;
            }
            operations += each;
        } else {
            text += " and operation " + std::to_string(operation->type);
        }
    }
    return work("cudnn", text, stream_of(handle), operations, FAILED);
}

MAKES(cudnnCreate)
SUCCEEDS(cudnnDestroy)
EXPORT size_t cudnnGetVersion() { return 91900; }
EXPORT int cudnnSetStream(void* handle, void* stream) { return set_stream(handle, stream); }
EXPORT int cudnnGetStream(void* handle, void** stream) {
    *stream = stream_of(handle);
    return 0;
}
EXPORT const char* cudnnGetErrorString(int status) {
    return status == 0 ? "CUDNN_STATUS_SUCCESS" : status == FAILED ? "CUDNN_STATUS_EXECUTION_FAILED" : "CUDNN_STATUS_NOT_SUPPORTED";
}
EXPORT void cudnnGetLastErrorString(char* text, size_t bytes) {
    if (bytes) {
        *text = 0;
    }
}
MAKES(cudnnCreateActivationDescriptor)
MAKES(cudnnCreateConvolutionDescriptor)
MAKES(cudnnCreateDropoutDescriptor)
MAKES(cudnnCreateFilterDescriptor)
MAKES(cudnnCreateLRNDescriptor)
MAKES(cudnnCreatePoolingDescriptor)
MAKES(cudnnCreateRNNDataDescriptor)
MAKES(cudnnCreateRNNDescriptor)
MAKES(cudnnCreateReduceTensorDescriptor)
MAKES(cudnnCreateTensorDescriptor)
SUCCEEDS(cudnnDestroyActivationDescriptor)
SUCCEEDS(cudnnDestroyConvolutionDescriptor)
SUCCEEDS(cudnnDestroyDropoutDescriptor)
SUCCEEDS(cudnnDestroyFilterDescriptor)
SUCCEEDS(cudnnDestroyLRNDescriptor)
SUCCEEDS(cudnnDestroyPoolingDescriptor)
SUCCEEDS(cudnnDestroyRNNDataDescriptor)
SUCCEEDS(cudnnDestroyRNNDescriptor)
SUCCEEDS(cudnnDestroyReduceTensorDescriptor)
SUCCEEDS(cudnnDestroyTensorDescriptor)
SUCCEEDS(cudnnDeriveBNTensorDescriptor)
SUCCEEDS(cudnnSetActivationDescriptor)
SUCCEEDS(cudnnSetConvolutionGroupCount)
SUCCEEDS(cudnnSetConvolutionMathType)
SUCCEEDS(cudnnSetConvolutionNdDescriptor)
SUCCEEDS(cudnnSetDropoutDescriptor)
SUCCEEDS(cudnnSetFilter4dDescriptor)
SUCCEEDS(cudnnSetFilterNdDescriptor)
SUCCEEDS(cudnnSetLRNDescriptor)
SUCCEEDS(cudnnSetPoolingNdDescriptor)
SUCCEEDS(cudnnSetRNNDataDescriptor)
SUCCEEDS(cudnnSetRNNDescriptor_v8)
SUCCEEDS(cudnnSetReduceTensorDescriptor)
SUCCEEDS(cudnnSetTensor4dDescriptor)
SUCCEEDS(cudnnSetTensorNdDescriptor)
EXPORT int cudnnGetReductionWorkspaceSize(void*, void*, void*, void*, size_t* bytes) {
    *bytes = 0;
    return 0;
}
EXPORT int cudnnGetReductionIndicesSize(void*, void*, void*, void*, size_t* bytes) {
    *bytes = 0;
    return 0;
}
#define WORKS(name) \
    EXPORT int name(void* handle) { return work("cudnn", #name, stream_of(handle), 0, FAILED); }
WORKS(cudnnActivationForward)
WORKS(cudnnAddTensor)
WORKS(cudnnBatchNormalizationForwardInference)
WORKS(cudnnBatchNormalizationForwardTraining)
WORKS(cudnnPoolingForward)
WORKS(cudnnReduceTensor)
WORKS(cudnnSoftmaxForward)
// What no network of ours asks for.
#define REFUSES(name) \
    EXPORT int name() { return NOT_SUPPORTED; }
REFUSES(cudnnBatchNormalizationBackward)

REFUSES(cudnnConvolutionBackwardBias)
REFUSES(cudnnConvolutionBackwardData)
REFUSES(cudnnConvolutionBackwardFilter)
REFUSES(cudnnConvolutionBiasActivationForward)
REFUSES(cudnnConvolutionForward)
REFUSES(cudnnDropoutGetStatesSize)
REFUSES(cudnnFindConvolutionBackwardDataAlgorithmEx)
REFUSES(cudnnFindConvolutionBackwardFilterAlgorithmEx)
REFUSES(cudnnFindConvolutionForwardAlgorithmEx)
REFUSES(cudnnGetConvolutionBackwardDataAlgorithm_v7)
REFUSES(cudnnGetConvolutionBackwardDataWorkspaceSize)
REFUSES(cudnnGetConvolutionBackwardFilterAlgorithm_v7)
REFUSES(cudnnGetConvolutionBackwardFilterWorkspaceSize)
REFUSES(cudnnGetConvolutionForwardAlgorithm_v7)
REFUSES(cudnnGetConvolutionForwardWorkspaceSize)
REFUSES(cudnnGetRNNTempSpaceSizes)
REFUSES(cudnnGetRNNWeightParams)
REFUSES(cudnnGetTensorNdDescriptor)
REFUSES(cudnnLRNCrossChannelForward)
REFUSES(cudnnRNNForward)
REFUSES(cudnnSoftmaxBackward)
#endif
