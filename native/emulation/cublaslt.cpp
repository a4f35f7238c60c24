// SPDX-License-Identifier: Apache-2.0
// cuBLASLt (libcublasLt.so.13) for ONNX Runtime's CUDA provider: see libraries.hpp.
#include "libraries.hpp"

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
EXPORT int cublasLtMatmul(void*, void*, const void*, const void*, const uint64_t* a, const void*, const void*, const void*,
                          const void*, const void*, void*, const uint64_t* d, const void*, void*, size_t, void* stream) {
    const uint64_t k = a[1] == d[1] ? a[2] : a[1];
    char text[160];
    snprintf(text, sizeof(text), "cublasLtMatmul m %d n %d k %d type %d", (int)d[1], (int)d[2], (int)k, (int)a[0]);
    return asg_event("gemm", text, stream, 2 * d[1] * d[2] * k) ? 13 : 0;
}
