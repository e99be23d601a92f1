from __future__ import annotations

import numpy as np

from segkit.harmonization.monotone_map import monotone_map


def test_knots_are_met_and_lines_go_on_beyond_them() -> None:
    function = monotone_map(np.array([0.0, 1, 4]), np.array([0.0, 4, 8]))
    assert function(np.array([0.0, 1, 4])).tolist() == [0, 4, 8]
    assert function(np.array([-1.0, 5])).tolist() == [-2, 10]


def test_the_spline_never_falls() -> None:
    random = np.random.default_rng(0)
    x, y = np.sort(random.normal(size=21)), np.sort(random.exponential(size=21))
    values = np.linspace(x[0] - 1, x[-1] + 1, 10_000)
    assert np.diff(monotone_map(x, y)(values).astype(np.float32)).min() >= 0


def test_equal_knots_of_an_8_bit_scan_become_one() -> None:
    function = monotone_map(np.array([3.0, 3, 3, 5]), np.array([0.0, 1, 2, 6]))
    assert function(np.array([3.0, 5])).tolist() == [1, 6]


def test_a_single_knot_is_a_shift() -> None:
    assert monotone_map(np.array([3.0]), np.array([10.0]))(np.array([4.0])).tolist() == [11]
