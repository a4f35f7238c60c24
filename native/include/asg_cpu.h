// SPDX-License-Identifier: Apache-2.0
// C ABI of the CPU kernels.
#ifndef ASG_CPU_H
#define ASG_CPU_H

#include <stdint.h>

#ifdef ASG_CPU_BUILD
#define ASG_CPU_API __attribute__((visibility("default")))
#else
#define ASG_CPU_API
#endif

#define ASG_CPU_ABI_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

// The version that the library was built with; Java refuses another one at load.
ASG_CPU_API int32_t asg_abi_version(void);

#ifdef __cplusplus
}
#endif

#endif
