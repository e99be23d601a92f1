"""Groups that are discovered from intensities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from segkit.harmonization.mixture import discover, most_likely
from segkit.harmonization.values import ChannelValues

Made = Callable[[Any], ChannelValues]
Scans = list[tuple[ChannelValues, ...]]


def scans_of(scan: Made, gains: list[float]) -> Scans:
    random = np.random.default_rng(0)
    tissue = random.gamma(4.0, size=500)
    return [(scan(gain * tissue * random.lognormal(0, 0.1)),) for gain in gains]


def test_the_three_groups_of_hippocampus(hippocampus: Scans, hippocampus_groups: list[str]) -> None:
    mixture = discover(hippocampus)
    found = [most_likely(mixture, values) for values in hippocampus]
    assert Counter(found) == {"group_1": 42, "group_2": 133, "group_3": 25}
    names = {"low": "group_1", "middle": "group_2", "high": "group_3"}
    assert found == [names[group] for group in hippocampus_groups]


def test_one_scanner_is_one_group(scan: Made) -> None:
    assert len(discover(scans_of(scan, [1.0] * 40)).names) == 1


def test_gains_are_groups_in_their_order_and_others_are_outside(scan: Made) -> None:
    mixture = discover(scans_of(scan, [1.0] * 20 + [30.0] * 20))
    assert len(mixture.names) == 2
    low, between, high = scans_of(scan, [1.0, 6.0, 30.0])
    assert most_likely(mixture, low) == "group_1"
    assert most_likely(mixture, high) == "group_2"
    assert most_likely(mixture, between) is None


def test_few_scans_are_one_group(scan: Made) -> None:
    # Ten scans per group are needed, or every scan would be a group of its own.
    assert len(discover(scans_of(scan, [1.0] * 6 + [100.0] * 6)).names) == 1


def test_constant_scans_do_not_break_it(scan: Made) -> None:
    mixture = discover([(scan([3.0, 3.0]),) for _ in range(12)])
    assert most_likely(mixture, (scan([3.0, 3.0]),)) == "group_1"
