"""The functions of the methods: known numbers, order, constant scans, unknown groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segkit.harmonization.methods import METHODS, shrinkage_weights
from segkit.harmonization.values import ChannelValues

Made = Callable[[Any], ChannelValues]
NORMAL = np.random.default_rng(0).normal(size=4000)


def training(scan: Made) -> tuple[list[ChannelValues], list[str]]:
    """Ten scans of a group with a gain of 100 and ten with a square root, each a bit different."""
    random = np.random.default_rng(1)
    shifts = random.normal(0, 0.02, 20)
    plain = [scan(100 * np.exp((1 + shift) * NORMAL)) for shift in shifts[:10]]
    roots = [scan(np.exp((0.5 + shift) * NORMAL)) for shift in shifts[10:]]
    return plain + roots, ["plain"] * 10 + ["roots"] * 10


def test_zscores_of_known_numbers(scan: Made) -> None:
    method = METHODS["zscore"]
    function = method.mapping(method.fit("x", [], []), scan([1.0, 3.0]), None)
    assert function(np.array([2.0, 3.0, 5.0])).tolist() == [0, 1, 3]


def test_landmarks_are_the_mean_of_those_of_the_scans(scan: Made) -> None:
    method = METHODS["nyul"]
    even, late = scan(np.linspace(0, 1, 10_001)), scan(np.linspace(0, 1, 10_001) ** 2)
    target = np.array(method.fit("x", [even, late], ["", ""]).target)
    assert target[[0, -1]].tolist() == [1, 100]
    # The median is at 1/2 and 1/4, between the percentiles 1 and 99 (0.01 and 0.99, squared).
    expected = 1 + 99 * (0.5 + (0.25 - 0.0001) / (0.9801 - 0.0001)) / 2
    assert target[5] == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("group", ["plain", "roots", "unseen", None])
def test_a_function_never_falls(name: str, group: str | None, scan: Made) -> None:
    scans, groups = training(scan)
    method = METHODS[name]
    model = method.fit("x", scans, groups)
    values = np.linspace(-500, 5000, 20_001)
    for own in (scans[0], scans[15], scan(np.round(2 * np.abs(NORMAL)))):
        mapped = method.mapping(model, own, group)(values).astype(np.float32)
        assert np.isfinite(mapped).all()
        assert np.diff(mapped).min() >= 0
        assert mapped[-1] > mapped[0]


@pytest.mark.parametrize("name", METHODS)
def test_a_constant_scan_becomes_0(name: str, scan: Made) -> None:
    scans, groups = training(scan)
    method = METHODS[name]
    model = method.fit("x", scans, groups)
    function = method.mapping(model, scan([5.0, 5.0]), "plain")
    assert function(np.array([5.0])).tolist() == [0]


def test_curves_make_the_groups_alike(scan: Made) -> None:
    scans, groups = training(scan)
    method = METHODS["spline"]
    model = method.fit("x", scans, groups)
    assert all(curve.weight > 0.99 for curve in model.groups.values())
    ends = np.array([0.25, 0.75, 0.95])
    mapped = [
        method.mapping(model, own, group)(own.at(ends))
        for own, group in zip(scans, groups, strict=True)
    ]
    plain, roots = np.mean(mapped[:10], axis=0), np.mean(mapped[10:], axis=0)
    assert np.abs(plain - roots).max() < 0.02
    # Standardizing alone leaves a difference, because the shapes differ.
    raw = [
        (own.at(ends) - own.at(np.array([0.5]))) / np.ptp(own.at(np.array([0.1, 0.9])))
        for own in scans
    ]
    assert np.abs(np.mean(raw[:10], axis=0) - np.mean(raw[10:], axis=0)).max() > 0.1


def test_one_group_keeps_its_own_curve(scan: Made) -> None:
    scans = training(scan)[0][:10]
    method = METHODS["spline"]
    model = method.fit("x", scans, ["plain"] * 10)
    assert model.groups["plain"].weight == 0
    function = method.mapping(model, scan([-1.0, *np.linspace(0, 1, 1001), 2.0]), "plain")
    # Only median and spread are standardized: the function is a straight line.
    assert np.ptp(np.diff(function(np.linspace(0, 1, 11)))) < 1e-9


def test_an_unseen_group_gets_the_pooled_quantiles(scan: Made) -> None:
    scans, groups = training(scan)
    method = METHODS["spline"]
    model = method.fit("x", scans, groups)
    other = scan(7 - np.exp(NORMAL))
    levels = np.array([0.1, 0.5, 0.9])
    mapped = method.mapping(model, other, "unseen")(other.at(levels))
    target = np.interp(levels, METHODS["spline"].probabilities, model.target)
    np.testing.assert_allclose(mapped, target, atol=1e-6)


def test_weights_worked_out_by_hand() -> None:
    # Within: 2; between the means 1 and 7: (36 - 2) / 2 = 17 in squares, of 2 scans each.
    curves = {"a": np.array([[0.0], [2.0]]), "b": np.array([[6.0], [8.0]])}
    assert shrinkage_weights(curves)["a"] == pytest.approx(2 * 17 / (2 * 17 + 2))


def test_weights_are_0_without_evidence() -> None:
    alike = {"a": np.array([[0.0], [4.0]]), "b": np.array([[1.0], [3.0]])}
    single = {"a": np.array([[0.0]]), "b": np.array([[9.0]])}
    assert shrinkage_weights(alike) == {"a": 0, "b": 0}
    assert shrinkage_weights(single) == {"a": 0, "b": 0}


def test_a_larger_group_is_shrunk_less(scan: Made) -> None:
    scans, groups = training(scan)
    weights = METHODS["spline"].fit("x", scans[:12], groups[:12]).groups
    assert weights["plain"].weight > weights["roots"].weight
