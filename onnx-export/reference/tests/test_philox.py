# SPDX-License-Identifier: Apache-2.0
import math
from itertools import permutations as all_orders
from statistics import NormalDist

import numpy as np
import pytest

from reference import goldens, philox


@pytest.mark.parametrize("counter, key, expected", goldens.KNOWN_ANSWERS)
def test_known_answers(counter, key, expected):
    assert " ".join(f"{int(w):08x}" for w in philox.philox4x32(counter, key)) == expected


def test_words_depend_on_every_part_of_the_counter_and_key():
    base = (7, 5, 3, 1)
    words = {tuple(int(w) for w in philox.words(*t)) for t in
             [base, (8, 5, 3, 1), (7 + 2**32, 5, 3, 1), (7, 6, 3, 1), (7, 5 + 2**32, 3, 1), (7, 5, 4, 1), (7, 5, 3, 2)]}
    assert len(words) == 7


def test_negative_seed_is_its_two_complement():
    assert [int(w) for w in philox.words(-1, 0, 0, 0)] == [int(w) for w in philox.words(2**64 - 1, 0, 0, 0)]


def test_log():
    v = np.concatenate([np.linspace(1e-9, 1, 10001)[:-1], 2.0 ** -np.arange(1.0, 54), [1 - 2.0**-53]])
    expected = np.array([math.log(x) for x in v])
    assert np.abs(philox.log(v) / expected - 1).max() < 1e-15


def test_inverse_normal_cdf():
    u = np.concatenate([np.linspace(0, 1, 4001)[1:-1], 2.0 ** -np.arange(2.0, 54), 1 - 2.0 ** -np.arange(2.0, 54)])
    expected = np.array([NormalDist().inv_cdf(x) for x in u])
    assert np.abs(philox.inverse_normal_cdf(u) - expected).max() < 1e-14


def test_normals_are_normal():
    z = philox.normals(3, np.arange(200_000)).astype(np.float64)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert abs((z**power).mean() - moment) < 0.04
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 0.01


def test_permutations_are_uniform():
    p = philox.permutations(5, 2, 4, 48_000)
    counts = [int((p.T == order).all(axis=1).sum()) for order in all_orders(range(4))]
    assert sum(counts) == 48_000 and min(counts) > 1800 and max(counts) < 2200


def test_permutation_by_hand():
    """SPEC.md section 3, one position at a time with Python integers."""
    for n in (2, 3, 9, 16):
        blocks = max(1, math.ceil((n - 1) / 4))
        got = philox.permutations(11, 6, n, [0, 1, 77])
        for column, q in enumerate((0, 1, 77)):
            p = list(range(n))
            for i in range(n - 1, 0, -1):
                d = n - 1 - i
                r = int(philox.words(11, q * blocks + d // 4, 6, 2)[d % 4])
                j = (r * (i + 1)) >> 32
                p[i], p[j] = p[j], p[i]
            assert got[:, column].tolist() == p
