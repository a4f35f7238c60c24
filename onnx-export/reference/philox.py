# SPDX-License-Identifier: Apache-2.0
"""SPEC.md section 1: Philox-4x32-10, normals by inverse CDF; section 3: permutations."""

import numpy as np

INITIAL_NOISE, STEP_NOISE, PERMUTATION, JITTER, PHASE_NOISE = 0, 1, 2, 3, 4

MASK = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MULTIPLIER_0, MULTIPLIER_2 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85


def philox4x32(counter, key, rounds=10):
    """The bijection of Salmon et al. (SC'11).

    counter: four words, key: two words; each an integer or an array of integers below 2^32.
    Returns four uint64 arrays that hold 32-bit words.
    """
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(rounds):
        product_0 = c0 * MULTIPLIER_0
        product_2 = c2 * MULTIPLIER_2
        c0, c1, c2, c3 = (
            (product_2 >> HALF) ^ c1 ^ np.uint64(k0),
            product_2 & MASK,
            (product_0 >> HALF) ^ c3 ^ np.uint64(k1),
            product_0 & MASK,
        )
        k0 = (k0 + WEYL_0) & 0xFFFFFFFF
        k1 = (k1 + WEYL_1) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(seed, element, step, purpose):
    """Four random words for every element (an integer or an array of them)."""
    element = np.asarray(element, np.uint64)
    seed = int(seed) & 0xFFFFFFFFFFFFFFFF
    counter = (element & MASK, element >> HALF, step, purpose)
    return philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))


def mulhi(r, n):
    """floor(r * n / 2^32): an integer in 0..n-1 from a word r."""
    return ((np.asarray(r, np.uint64) * np.uint64(n)) >> HALF).astype(np.int64)


# Wichura's AS241 PPND16, Applied Statistics 37 (1988), lowest coefficient first as he prints them.
A = (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3)
B = (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
     5.2264952788528545610e3)
C = (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
     3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4)
D = (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
     1.05075007164441684324e-9)
E = (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
     2.71155556874348757815e-5, 2.01033439929228813265e-7)
F = (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
     2.04426310338993978564e-15)


def horner(coefficients, r):
    p = coefficients[-1]
    for c in coefficients[-2::-1]:
        p = p * r + c
    return p


def log(v):
    """ln(v) for 0 < v < 1 from + - * / only, so that every language gives the same bits."""
    m, e = np.frexp(v)  # m in [0.5, 1)
    m, e = m * 2.0, e - 1  # v = m * 2^e with m in [1, 2), both exact
    big = m > 1.4142135623730951
    m, e = np.where(big, m * 0.5, m), np.where(big, e + 1, e)
    s = (m - 1.0) / (m + 1.0)
    s2 = s * s
    p = 1.0 / 25.0
    for k in range(23, 0, -2):
        p = p * s2 + 1.0 / k
    return e * 0.6931471805599453 + (2.0 * s) * p


def inverse_normal_cdf(u):
    """z with Phi(z) = u, for 0 < u < 1."""
    u = np.asarray(u, np.float64)
    q = u - 0.5
    r = 0.180625 - q * q
    central = q * horner(A, r) / horner(B, r)
    r = np.where(q < 0.0, u, 1.0 - u)
    r = np.sqrt(-log(r))
    near, far = r - 1.6, r - 5.0
    tail = np.where(r <= 5.0, horner(C, near) / horner(D, near), horner(E, far) / horner(F, far))
    return np.where(np.abs(q) <= 0.425, central, np.where(q < 0.0, -tail, tail))


def uniform(r0, r1):
    """The centre of one of 2^52 equal cells of (0, 1)."""
    k = ((r0 << HALF) | r1) >> np.uint64(12)
    return (k.astype(np.float64) + 0.5) * 2.0**-52


def normals(seed, element, step=0, purpose=INITIAL_NOISE):
    """N(0,1) for every element, rounded to float32 as the engine uses them."""
    r0, r1, _, _ = words(seed, element, step, purpose)
    return inverse_normal_cdf(uniform(r0, r1)).astype(np.float32)


def permutations(seed, step, patches, positions):
    """p[slot, q]: which patch stands in a slot, an independent permutation per position q.

    positions: how many positions a patch has (or an array of position indices).
    """
    q = np.arange(positions) if np.isscalar(positions) else np.asarray(positions)
    p = np.repeat(np.arange(patches)[:, None], len(q), axis=1)
    blocks = max(1, -(-(patches - 1) // 4))
    column = np.arange(len(q))
    for i in range(patches - 1, 0, -1):
        d = patches - 1 - i
        r = words(seed, q * blocks + d // 4, step, PERMUTATION)[d % 4]
        j = mulhi(r, i + 1)
        p[i], p[j, column] = p[j, column], p[i].copy()
    return p
