"""Messages of a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.harmonization.fit import _discovered, fit
from segkit.harmonization.mixture import discover
from segkit.harmonization.values import ChannelValues

Made = Callable[[Any], ChannelValues]


def test_small_groups_are_named(scan: Made, caplog: pytest.LogCaptureFixture) -> None:
    scans = [(scan([1.0, 2.0, 5.0]),)] * 26
    fit("spline", ["T1"], scans, ["large"] * 25 + ["small"])
    assert "groups with fewer than 25 training scans: small (1); their curves" in caplog.text


def test_scans_outside_of_discovered_groups_are_counted_and_an_outlier_may_be_a_group(
    scan: Made, caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(0)
    gains = random.lognormal(0, 0.01, size=40)
    scans = [(scan(gain * np.array([1.0, 2.0, 5.0])),) for gain in gains]
    outlier = (scan([8.0, 16.0, 40.0]),)
    kept = _discovered(discover(scans), [*scans, outlier])[1]
    assert len(kept) == 40
    assert "1 of 41 training scans lie outside of all groups and are left out" in caplog.text
    model = fit("spline", ["T1"], [*scans, outlier], source="intensities")
    assert model.scans == {"group_1": 40, "group_2": 1}


def test_no_scan_is_refused() -> None:
    with pytest.raises(InputError, match="expected training scans, found none"):
        fit("zscore", ["T1"], [])
