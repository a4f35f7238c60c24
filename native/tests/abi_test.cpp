// SPDX-License-Identifier: Apache-2.0
#include "asg_cpu.h"

#include <cstdio>

int main() {
    if (asg_abi_version() != ASG_CPU_ABI_VERSION) {
        std::fprintf(stderr, "ABI version %d, header says %d\n", asg_abi_version(), ASG_CPU_ABI_VERSION);
        return 1;
    }
    return 0;
}
