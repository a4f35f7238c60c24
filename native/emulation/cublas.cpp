// SPDX-License-Identifier: Apache-2.0
// cuBLAS (libcublas.so.13) for ONNX Runtime's CUDA provider: see libraries.hpp.
#include "libraries.hpp"

namespace {

enum { EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };

Streams streams;

int work(const char* what, const char* name, void* handle, uint64_t operations) {
    return asg_event(what, name, streams.of(handle), operations) ? EXECUTION_FAILED : 0;
}

int gemm(const char* name, void* handle, int m, int n, int k, int batch, int type) {
    char text[160];
    snprintf(text, sizeof(text), "%s m %d n %d k %d batch %d type %d", name, m, n, k, batch, type);
    return work("gemm", text, handle, 2ull * m * n * k * batch);
}

}  // namespace

MAKES(cublasCreate_v2)
SUCCEEDS(cublasDestroy_v2)
EXPORT int cublasSetStream_v2(void* handle, void* stream) {
    streams.set(handle, stream);
    return 0;
}
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
    return work("transpose", "cublasSgeam", handle, (uint64_t)m * n);
}
REFUSES(cublasDcopy_v2, NOT_SUPPORTED)
REFUSES(cublasDgeam, NOT_SUPPORTED)
REFUSES(cublasDgemmBatched, NOT_SUPPORTED)
REFUSES(cublasDgemmStridedBatched, NOT_SUPPORTED)
REFUSES(cublasDgemm_v2, NOT_SUPPORTED)
REFUSES(cublasDgetrfBatched, NOT_SUPPORTED)
REFUSES(cublasDgetriBatched, NOT_SUPPORTED)
REFUSES(cublasSgetrfBatched, NOT_SUPPORTED)
REFUSES(cublasSgetriBatched, NOT_SUPPORTED)
REFUSES(cublasScopy_v2, NOT_SUPPORTED)
REFUSES(cublasSscal_v2, NOT_SUPPORTED)
