// SPDX-License-Identifier: Apache-2.0
// IEEE 754 binary16 in memory; arithmetic is float32. CUDA's own header for it is not there under NVRTC.
#ifndef ASG_HALF_CUH
#define ASG_HALF_CUH

#include "asg_math.cuh"

struct asg_half {
    unsigned short bits;
};

ASG_FN float asg_bits_float(asg_u32 bits) {
#ifdef __CUDACC__
    return __uint_as_float(bits);
#else
    float v;
    __builtin_memcpy(&v, &bits, 4);
    return v;
#endif
}

ASG_FN float asg_to_float(float v) { return v; }

// Exact.
ASG_FN float asg_to_float(asg_half h) {
#ifdef __CUDACC__
    float v;
    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(h.bits));
    return v;
#else
    const asg_u32 sign = (asg_u32)(h.bits & 0x8000) << 16;
    const asg_u32 exponent = (h.bits >> 10) & 31;
    const asg_u32 mantissa = h.bits & 0x3FF;
    if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
        return asg_bits_float(sign | asg_float_bits((float)mantissa * 5.9604644775390625e-8f));
    }
    return asg_bits_float(sign | ((exponent == 31 ? 255 : exponent + 112) << 23) | (mantissa << 13));
#endif
}

ASG_FN void asg_from_float(float& to, float v) { to = v; }

// Rounded to the nearest, ties to even; above 65504 + 16 infinity. A NaN stays a NaN, of whatever payload.
ASG_FN void asg_from_float(asg_half& to, float v) {
#ifdef __CUDACC__
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(v));
#else
    const asg_u32 bits = asg_float_bits(v);
    const asg_u32 sign = (bits >> 16) & 0x8000;
    const asg_u32 magnitude = bits & 0x7FFFFFFF;
    asg_u32 half;
    if (magnitude > 0x7F800000) {
        half = 0x7FFF;
    } else if (magnitude >= 0x47800000) {  // 2^16
        half = 0x7C00;
    } else if (magnitude < 0x38800000) {  // 2^-14: subnormal; adding 2^-1 leaves multiples of 2^-24 and rounds
        half = asg_float_bits(asg_bits_float(magnitude) + 0.5f) - 0x3F000000;
    } else {
        half = (magnitude - 0x38000000 + 0xFFF + ((magnitude >> 13) & 1)) >> 13;
    }
    to.bits = (unsigned short)(sign | half);
#endif
}

#endif
