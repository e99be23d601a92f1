from __future__ import annotations

from dataclasses import replace
from typing import Any

from segkit.planning.plan_table import plan_table


def test_the_table_tells_what_was_measured_decided_and_built(fingerprint: Any, decide: Any) -> None:
    measured = fingerprint((60, 60, 60), cropped=(35, 50, 36))
    text = plan_table(decide(measured), measured)
    for part in (
        "cases         10, of which 10 have labeled voxels",
        "size          60 x 60 x 60 voxels",
        "content       35 x 50 x 36 voxels inside the constant border",
        "spacing       1 x 1 x 1 mm",
        "a      1      10     1",
        "a lies behind b along y in 10 of 10",
        "z-score inside the content",
        (
            "bottleneck  5 x 7 x 5     128       2       3 x 3 x 3  2 x 2 x 2  group  64 x 2  "
            "           350"
        ),
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120


def test_ranges_are_shown_where_cases_differ(fingerprint: Any, decide: Any) -> None:
    measured = fingerprint(spacings=((1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.5, 1.0, 1.0)))
    text = plan_table(decide(measured), measured)
    assert "1.5 x 1 x 1 mm (median; from 1 x 1 x 1 to 2 x 1 x 1)" in text


def test_pictures_and_other_norms(fingerprint: Any, decide: Any) -> None:
    measured = fingerprint((64, 64, 1), unit="px", centroids={"a": (1.0, 1.0, 1.0)})
    text = plan_table(decide(measured, dims=2, norm="batch", mirror="none"), measured)
    assert "2D across z" in text
    assert "1 x 1 x - px" in text
    assert "x: left to right, y: top to bottom" in text
    assert "b      2      0      0" in text
    assert "mirroring    none" in text or "mirroring   none" in text
    assert "batch" in text


def test_standardized_kernels_have_groups_too(fingerprint: Any, decide: Any) -> None:
    measured = fingerprint()
    text = plan_table(decide(measured, norm="group_ws"), measured)
    first, *others = (line for line in text.splitlines() if "3 x 3 x 3" in line)
    assert "group, group_ws  8 x 2 " in first
    assert all(" group_ws " in line and " x 2 " in line for line in others)


def test_a_plan_without_reasons_can_be_shown(fingerprint: Any, decide: Any) -> None:
    measured = fingerprint()
    assert "spacing" in plan_table(replace(decide(measured), reasons={}), measured)
