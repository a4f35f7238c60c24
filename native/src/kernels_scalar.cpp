// SPDX-License-Identifier: Apache-2.0
#include "asg_cpu.h"
