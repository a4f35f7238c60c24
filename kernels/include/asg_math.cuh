// SPDX-License-Identifier: Apache-2.0
// The arithmetic of one element (onnx-export/reference/SPEC.md, cited as §), compiled by the C++ compiler for the CPU
// kernels and by NVRTC for the CUDA kernels. Each operation is rounded once, in the order written: compile without
// contraction to FMA (-ffp-contract=off, --fmad=false). No standard headers, they do not exist under NVRTC.
#ifndef ASG_MATH_CUH
#define ASG_MATH_CUH

#include "asg_step.h"

// Internal linkage: the CPU tiers compile these with different instruction sets, and a linker that merged them could
// put AVX-512 code into the scalar tier.
#ifdef __CUDACC__
#define ASG_FN static __device__ __forceinline__
#else
#define ASG_FN static inline __attribute__((always_inline))
#endif

typedef unsigned char asg_u8;
typedef unsigned int asg_u32;
typedef unsigned long long asg_u64;
typedef long long asg_i64;

// ---- Random numbers (§1) ----

enum { ASG_INITIAL_NOISE = 0, ASG_STEP_NOISE = 1, ASG_PERMUTATION = 2, ASG_JITTER = 3, ASG_PHASE_NOISE = 4 };

struct asg_words {
    asg_u32 r0, r1, r2, r3;
};

// Philox-4x32-10 (Salmon et al., SC'11).
ASG_FN asg_words asg_philox(asg_words c, asg_u32 k0, asg_u32 k1) {
    for (int round = 0; round < 10; ++round) {
        asg_u64 product0 = (asg_u64)0xD2511F53u * c.r0;
        asg_u64 product2 = (asg_u64)0xCD9E8D57u * c.r2;
        asg_words next;
        next.r0 = (asg_u32)(product2 >> 32) ^ c.r1 ^ k0;
        next.r1 = (asg_u32)product2;
        next.r2 = (asg_u32)(product0 >> 32) ^ c.r3 ^ k1;
        next.r3 = (asg_u32)product0;
        c = next;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

ASG_FN asg_words asg_random(asg_u64 seed, asg_u64 element, asg_u32 step, asg_u32 purpose) {
    asg_words counter;
    counter.r0 = (asg_u32)element;
    counter.r1 = (asg_u32)(element >> 32);
    counter.r2 = step;
    counter.r3 = purpose;
    return asg_philox(counter, (asg_u32)seed, (asg_u32)(seed >> 32));
}

// floor(r * n / 2^32): one of 0 .. n-1.
ASG_FN asg_u32 asg_mulhi(asg_u32 r, asg_u32 n) { return (asg_u32)(((asg_u64)r * n) >> 32); }

// The centre of one of 2^52 equal cells of (0, 1); exact.
ASG_FN double asg_uniform(asg_words r) {
    asg_i64 k = (asg_i64)((((asg_u64)r.r0 << 32) | r.r1) >> 12);
    return ((double)k + 0.5) * (1.0 / 4503599627370496.0);
}

ASG_FN asg_u32 asg_float_bits(float v) {
#ifdef __CUDACC__
    return __float_as_uint(v);
#else
    asg_u32 bits;
    __builtin_memcpy(&bits, &v, 4);
    return bits;
#endif
}

ASG_FN float asg_bits_float(asg_u32 bits) {
#ifdef __CUDACC__
    return __uint_as_float(bits);
#else
    float v;
    __builtin_memcpy(&v, &bits, 4);
    return v;
#endif
}

ASG_FN asg_u64 asg_double_bits(double v) {
#ifdef __CUDACC__
    return (asg_u64)__double_as_longlong(v);
#else
    asg_u64 bits;
    __builtin_memcpy(&bits, &v, 8);
    return bits;
#endif
}

ASG_FN double asg_bits_double(asg_u64 bits) {
#ifdef __CUDACC__
    return __longlong_as_double((asg_i64)bits);
#else
    double v;
    __builtin_memcpy(&v, &bits, 8);
    return v;
#endif
}

ASG_FN double asg_sqrt(double v) {
#ifdef __CUDACC__
    return __dsqrt_rn(v);
#else
    return __builtin_sqrt(v);
#endif
}

// ln(v), 0 < v < 1 and normal, from + - * / only: libraries differ in the last bit.
ASG_FN double asg_ln(double v) {
    asg_u64 bits = asg_double_bits(v);
    int exponent = (int)(bits >> 52) - 1023;
    double m = asg_bits_double((bits & 0x000FFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
    if (m > 1.4142135623730951) {
        m = m * 0.5;
        exponent = exponent + 1;
    }
    double s = (m - 1.0) / (m + 1.0);
    double s2 = s * s;
    double p = 1.0 / 25.0;
    p = p * s2 + 1.0 / 23.0;
    p = p * s2 + 1.0 / 21.0;
    p = p * s2 + 1.0 / 19.0;
    p = p * s2 + 1.0 / 17.0;
    p = p * s2 + 1.0 / 15.0;
    p = p * s2 + 1.0 / 13.0;
    p = p * s2 + 1.0 / 11.0;
    p = p * s2 + 1.0 / 9.0;
    p = p * s2 + 1.0 / 7.0;
    p = p * s2 + 1.0 / 5.0;
    p = p * s2 + 1.0 / 3.0;
    p = p * s2 + 1.0;
    return (double)exponent * 0.6931471805599453 + (2.0 * s) * p;
}

// Highest coefficient first.
ASG_FN double asg_horner(double r, double c7, double c6, double c5, double c4, double c3, double c2, double c1,
                         double c0) {
    double p = c7;
    p = p * r + c6;
    p = p * r + c5;
    p = p * r + c4;
    p = p * r + c3;
    p = p * r + c2;
    p = p * r + c1;
    return p * r + c0;
}

// z with Phi(z) = u, 0 < u < 1: Wichura's AS241 PPND16 (Applied Statistics 37, 1988).
ASG_FN double asg_inverse_normal_cdf(double u) {
    double q = u - 0.5;
    if (q <= 0.425 && q >= -0.425) {
        double r = 0.180625 - q * q;
        double numerator = asg_horner(r, 2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
                                      4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
                                      1.3314166789178437745e2, 3.3871328727963666080e0);
        double denominator = asg_horner(r, 5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
                                        2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
                                        4.2313330701600911252e1, 1.0);
        return q * numerator / denominator;
    }
    double r = asg_sqrt(-asg_ln(q < 0.0 ? u : 1.0 - u));
    double z;
    if (r <= 5.0) {
        r = r - 1.6;
        z = asg_horner(r, 7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
                       1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
                       4.63033784615654529590e0, 1.42343711074968357734e0) /
            asg_horner(r, 1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
                       1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
                       2.05319162663775882187e0, 1.0);
    } else {
        r = r - 5.0;
        z = asg_horner(r, 2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
                       2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
                       5.46378491116411436990e0, 6.65790464350110377720e0) /
            asg_horner(r, 2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
                       7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
                       5.99832206555887937690e-1, 1.0);
    }
    return q < 0.0 ? -z : z;
}

ASG_FN float asg_normal(asg_u64 seed, asg_u64 element, asg_u32 step, asg_u32 purpose) {
    return (float)asg_inverse_normal_cdf(asg_uniform(asg_random(seed, element, step, purpose)));
}

// ---- Pixel interaction (§3) ----

// p[slot], 0 <= slot < patches <= 256: which patch stands in a slot at position q in the frame of a step; step < 0 is
// the frame without permutation. Fisher-Yates.
ASG_FN void asg_permutation(asg_u8* p, int patches, asg_u64 seed, asg_u64 q, int step) {
    for (int i = 0; i < patches; ++i) {
        p[i] = (asg_u8)i;
    }
    if (step < 0) {
        return;
    }
    asg_u64 element = q * (asg_u64)((patches + 2) / 4);  // ceil((patches - 1) / 4) blocks; none are read if patches = 1
    int i = patches - 1;
    while (i > 0) {
        asg_words r = asg_random(seed, element, (asg_u32)step, ASG_PERMUTATION);
        ++element;
        asg_u32 word[4] = {r.r0, r.r1, r.r2, r.r3};
        for (int d = 0; d < 4 && i > 0; ++d, --i) {
            asg_u32 j = asg_mulhi(word[d], (asg_u32)i + 1);
            asg_u8 moved = p[i];
            p[i] = p[j];
            p[j] = moved;
        }
    }
}

// source[slot]: the slot of the frame of from_step whose value the slot of the frame of to_step takes.
ASG_FN void asg_interaction(asg_u8* source, int patches, asg_u64 seed, asg_u64 q, int from_step, int to_step) {
    asg_u8 from[256];
    asg_u8 slot_of[256];
    asg_permutation(from, patches, seed, q, from_step);
    for (int i = 0; i < patches; ++i) {
        slot_of[from[i]] = (asg_u8)i;
    }
    asg_permutation(source, patches, seed, q, to_step);
    for (int i = 0; i < patches; ++i) {
        source[i] = slot_of[source[i]];
    }
}

// ---- Guidance and scheduler step (§4) ----

// Classifier-free guidance.
ASG_FN float asg_guided(float uncond, float cond, float guidance_scale) {
    return uncond + guidance_scale * (cond - uncond);
}

// Noise estimate e of a network output m.
ASG_FN float asg_noise_of(const asg_step& s, float m, float x) { return s.pred_m * m + s.pred_x * x; }

// Predicted clean latent.
ASG_FN float asg_clean_of(const asg_step& s, float e, float x) { return (x - s.sigma * e) * s.inv_alpha; }

// What later steps take of this one.
ASG_FN float asg_kept_of(const asg_step& s, float e, float x) { return s.keep_e != 0.0f ? e : asg_clean_of(s, e, x); }

// Eq. 3/4 on noise estimates; wm = weight * mask.
ASG_FN float asg_pull_noise(float e, float guide, float wm) { return e + wm * (guide - e); }

// The same on predicted clean latents.
ASG_FN float asg_pull_latent(const asg_step& s, float e, float x, float guide, float wm) {
    float d = asg_clean_of(s, e, x);
    return e - wm * (s.kappa * (guide - d));
}

// Next latent without past predictions, of which step_past[j] * D_j are added, and without step noise, of which step_n * n
// is added at last.
ASG_FN float asg_next(const asg_step& s, float e, float x) { return s.step_x * x + s.step_e * e; }

// ---- Mask (§5) ----

// Where a cell falls on an axis of a smaller or larger map, for bilinear interpolation with half-pixel centres.
struct asg_tap {
    int i0, i1;
    float f;
};

// ratio = (float)map_extent / (float)extent.
ASG_FN asg_tap asg_tap_of(int i, float ratio, int map_extent) {
    float s = ((float)i + 0.5f) * ratio - 0.5f;
    float last = (float)(map_extent - 1);
    s = s < 0.0f ? 0.0f : s;
    s = s > last ? last : s;
    asg_tap t;
    t.i0 = (int)s;
    t.i1 = t.i0 + 1 < map_extent ? t.i0 + 1 : map_extent - 1;
    t.f = s - (float)t.i0;
    return t;
}

ASG_FN float asg_linear(float a, float b, float f) { return a + f * (b - a); }

ASG_FN float asg_bilinear(float a00, float a01, float a10, float a11, float fy, float fx) {
    return asg_linear(asg_linear(a00, a01, fx), asg_linear(a10, a11, fx), fy);
}

// ---- Phases (§9) ----

ASG_FN float asg_blend(float x, float y, float a, float b) { return a * x + b * y; }

// Standard deviation of `count` values whose squared distances from their mean sum to `squares`.
ASG_FN double asg_deviation(double squares, asg_i64 count) {
    return count > 1 ? asg_sqrt(squares / (double)(count - 1)) : 0.0;
}

// v * scale + shift has the moments `to` (mean, standard deviation) where v has `from`.
struct asg_affine {
    float scale, shift;
};

ASG_FN asg_affine asg_match(const double* from, const double* to) {
    double quotient = from[1] == 0.0 ? 1.0 : to[1] / from[1];
    asg_affine f;
    f.scale = (float)quotient;
    f.shift = (float)(to[0] - from[0] * quotient);
    return f;
}

// Cell i of a line of `extent` cells, `stride` apart, blurred by an odd number of taps; cells outside read 0.
ASG_FN float asg_blurred(const float* line, asg_i64 stride, asg_i64 i, asg_i64 extent, const float* weights, int taps) {
    float sum = 0.0f;
    for (int tap = 0; tap < taps; ++tap) {
        asg_i64 cell = i + tap - taps / 2;
        float v = cell >= 0 && cell < extent ? line[cell * stride] : 0.0f;
        float term = weights[tap] * v;
        sum = tap == 0 ? term : sum + term;
    }
    return sum;
}

// The source cell of an index of a table; outside it is the cell at the border.
ASG_FN asg_i64 asg_border(int index, asg_i64 extent) {
    return index < 0 ? 0 : (index < extent ? (asg_i64)index : extent - 1);
}

// A cell resampled from a line of `extent` cells, `stride` apart; index, weight [taps] are its row of the table.
ASG_FN float asg_resampled(const float* line, asg_i64 stride, asg_i64 extent, const int* index, const float* weight,
                           int taps) {
    float sum = 0.0f;
    for (int tap = 0; tap < taps; ++tap) {
        float term = weight[tap] * line[asg_border(index[tap], extent) * stride];
        sum = tap == 0 ? term : sum + term;
    }
    return sum;
}

// A cell resampled along both axes: what a pass along x and one along y out of its result give, bit for bit.
ASG_FN float asg_resampled_plane(const float* plane, asg_i64 height, asg_i64 width, const int* index_y,
                                 const float* weight_y, int taps_y, const int* index_x, const float* weight_x,
                                 int taps_x) {
    float sum = 0.0f;
    for (int tap = 0; tap < taps_y; ++tap) {
        const float* line = plane + asg_border(index_y[tap], height) * width;
        float term = weight_y[tap] * asg_resampled(line, 1, width, index_x, weight_x, taps_x);
        sum = tap == 0 ? term : sum + term;
    }
    return sum;
}

// ---- Picture (§8) ----

// RGB8 of a value in [-1, 1]; NaN gives 0.
ASG_FN asg_u8 asg_byte(float v) {
    float b = v * 127.5f + 127.5f;
    b = b > 0.0f ? b : 0.0f;
    b = b < 255.0f ? b : 255.0f;
    return (asg_u8)(int)(b + 0.5f);
}

// inf - inf and NaN - NaN are NaN, which equals nothing.
ASG_FN bool asg_finite(float v) { return v - v == 0.0f; }

// The same of many values at once, as bit 31 of the disjunction: set if the exponent of one is all ones. Sums and products
// make nothing finite of a NaN or an infinity, so results tell whether to look for one among what they were made of.
ASG_FN asg_u32 asg_non_finite(float v) { return (asg_float_bits(v) & 0x7F800000u) + 0x00800000u; }

#endif
