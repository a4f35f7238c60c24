// SPDX-License-Identifier: Apache-2.0
#include "asg_cpu.h"

extern "C" int32_t asg_abi_version(void) { return ASG_CPU_ABI_VERSION; }
