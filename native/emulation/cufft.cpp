// SPDX-License-Identifier: Apache-2.0
// cuFFT (libcufft.so.12), which no network of ours uses for ONNX Runtime's CUDA provider: see libraries.hpp.
#include "libraries.hpp"

MAKES(cufftCreate)
SUCCEEDS(cufftDestroy)
SUCCEEDS(cufftSetStream)
SUCCEEDS(cufftXtMakePlanMany)
REFUSES(cufftXtExec, 5)
