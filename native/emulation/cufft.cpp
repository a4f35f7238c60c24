// SPDX-License-Identifier: Apache-2.0
// cuFFT (libcufft.so.12) for ONNX Runtime's CUDA provider, which no network of ours makes use it: see libraries.hpp.
#include "libraries.hpp"

MAKES(cufftCreate)
SUCCEEDS(cufftDestroy)
SUCCEEDS(cufftSetStream)
SUCCEEDS(cufftXtMakePlanMany)
REFUSES(cufftXtExec, 5)
