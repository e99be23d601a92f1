from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from segkit.planning.normalization import plan_channels, plan_crop
from segkit.plans.plan import ChannelPlan


@pytest.mark.parametrize("name", ["CT", "ct"])
def test_ct_takes_the_numbers_of_the_dataset(fingerprint: Any, name: str) -> None:
    channels, reasons = plan_channels(fingerprint(), [name], crop=True)
    assert channels == (ChannelPlan(name, "ct", lower=-100, upper=300, mean=50, std=25),)
    assert "cut off at -100 and 300" in reasons[f"channel {name}"]


@pytest.mark.parametrize(
    ("name", "scheme"), [("noNorm", "none"), ("none", "none"), ("T1", "zscore"), ("PET", "zscore")]
)
def test_other_names(fingerprint: Any, name: str, scheme: str) -> None:
    assert plan_channels(fingerprint(), [name], crop=True)[0][0].scheme == scheme


def test_much_border_masks_the_zscore(fingerprint: Any) -> None:
    tight, wide = (
        fingerprint((10, 10, 10), cropped=(9, 9, 9)),
        fingerprint((10, 10, 10), cropped=(9, 9, 10)),
    )
    assert plan_channels(tight, ["T1"], crop=True)[0][0].masked
    assert not plan_channels(wide, ["T1"], crop=True)[0][0].masked
    assert not plan_channels(tight, ["T1"], crop=False)[0][0].masked


def test_borders_are_cut_unless_labels_lie_in_them(fingerprint: Any) -> None:
    measured = fingerprint((10, 10, 10), cropped=(9, 9, 9))
    assert plan_crop(measured) == (
        True,
        "A border of one constant value is cut away; 73% of a typical scan remain.",
    )
    labelled = replace(measured, cases=(replace(measured.cases[0], outside=5), *measured.cases[1:]))
    crop, reason = plan_crop(labelled)
    assert not crop
    assert "in 1 cases, labels lie in the constant border" in reason


def test_scans_without_border(fingerprint: Any) -> None:
    assert plan_crop(fingerprint())[1].startswith("These scans have no constant border")
