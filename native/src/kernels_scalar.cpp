// SPDX-License-Identifier: Apache-2.0
#define ASG_TABLE scalar_kernels
#include "kernels_impl.hpp"
