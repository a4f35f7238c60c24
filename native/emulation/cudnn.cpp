// SPDX-License-Identifier: Apache-2.0
// cuDNN (libcudnn.so.9) for ONNX Runtime's CUDA provider: see libraries.hpp.
#include "libraries.hpp"

#include <vector>

namespace {

enum { FAILED = 5000, NOT_SUPPORTED = 3000, DESCRIPTOR = 15 };
enum {
    HEURISTIC_GRAPH = 201,
    HEURISTIC_RESULTS = 202,
    CONFIGURATION_ENGINE = 300,
    EXECUTION_PLAN = 5,
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

Streams streams;

int work(const std::string& name, void* handle, uint64_t operations) {
    return asg_event("cudnn", name.c_str(), streams.of(handle), operations) ? FAILED : 0;
}

}  // namespace

// Graphs, cuDNN's backend interface: what is set is kept, so that a convolution can say its tensors.

EXPORT int cudnnBackendCreateDescriptor(int type, void** made) {
    *made = new Descriptor{type, {}};
    return 0;
}
EXPORT int cudnnBackendDestroyDescriptor(void* descriptor) {
    (void)descriptor;  // what it holds is asked for until the last execution
    return 0;
}
EXPORT int cudnnBackendFinalize(void* descriptor) {
    // Making a plan is work of the host's, of milliseconds: once for each shape, if all is well.
    return static_cast<Descriptor*>(descriptor)->type == EXECUTION_PLAN && asg_event("plan", "cudnnBackendFinalize", nullptr, 0)
               ? FAILED
               : 0;
}
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
    return work(text, handle, operations);
}

MAKES(cudnnCreate)
SUCCEEDS(cudnnDestroy)
EXPORT size_t cudnnGetVersion() { return 91900; }
EXPORT int cudnnSetStream(void* handle, void* stream) {
    streams.set(handle, stream);
    return 0;
}
EXPORT int cudnnGetStream(void* handle, void** stream) {
    *stream = streams.of(handle);
    return 0;
}
EXPORT const char* cudnnGetErrorString(int status) {
    return status == 0        ? "CUDNN_STATUS_SUCCESS"
           : status == FAILED ? "CUDNN_STATUS_EXECUTION_FAILED"
                              : "CUDNN_STATUS_NOT_SUPPORTED";
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
    EXPORT int name(void* handle) { return work(#name, handle, 0); }
WORKS(cudnnActivationForward)
WORKS(cudnnAddTensor)
WORKS(cudnnBatchNormalizationForwardInference)
WORKS(cudnnBatchNormalizationForwardTraining)
WORKS(cudnnPoolingForward)
WORKS(cudnnReduceTensor)
WORKS(cudnnSoftmaxForward)
// What no network of ours asks for.
REFUSES(cudnnBatchNormalizationBackward, NOT_SUPPORTED)

REFUSES(cudnnConvolutionBackwardBias, NOT_SUPPORTED)
REFUSES(cudnnConvolutionBackwardData, NOT_SUPPORTED)
REFUSES(cudnnConvolutionBackwardFilter, NOT_SUPPORTED)
REFUSES(cudnnConvolutionBiasActivationForward, NOT_SUPPORTED)
REFUSES(cudnnConvolutionForward, NOT_SUPPORTED)
REFUSES(cudnnDropoutGetStatesSize, NOT_SUPPORTED)
REFUSES(cudnnFindConvolutionBackwardDataAlgorithmEx, NOT_SUPPORTED)
REFUSES(cudnnFindConvolutionBackwardFilterAlgorithmEx, NOT_SUPPORTED)
REFUSES(cudnnFindConvolutionForwardAlgorithmEx, NOT_SUPPORTED)
REFUSES(cudnnGetConvolutionBackwardDataAlgorithm_v7, NOT_SUPPORTED)
REFUSES(cudnnGetConvolutionBackwardDataWorkspaceSize, NOT_SUPPORTED)
REFUSES(cudnnGetConvolutionBackwardFilterAlgorithm_v7, NOT_SUPPORTED)
REFUSES(cudnnGetConvolutionBackwardFilterWorkspaceSize, NOT_SUPPORTED)
REFUSES(cudnnGetConvolutionForwardAlgorithm_v7, NOT_SUPPORTED)
REFUSES(cudnnGetConvolutionForwardWorkspaceSize, NOT_SUPPORTED)
REFUSES(cudnnGetRNNTempSpaceSizes, NOT_SUPPORTED)
REFUSES(cudnnGetRNNWeightParams, NOT_SUPPORTED)
REFUSES(cudnnGetTensorNdDescriptor, NOT_SUPPORTED)
REFUSES(cudnnLRNCrossChannelForward, NOT_SUPPORTED)
REFUSES(cudnnRNNForward, NOT_SUPPORTED)
REFUSES(cudnnSoftmaxBackward, NOT_SUPPORTED)
