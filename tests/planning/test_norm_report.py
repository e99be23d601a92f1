from __future__ import annotations

from typing import Any

import pytest

from segkit.planning.norm_report import NormRow, norm_report


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (8, 2, 3456, "group norm")),
        ({"norm": "instance"}, (16, 1, 1728, "instance norm")),
        ({"num_groups": 16}, (16, 1, 1728, "instance norm")),
        ({"norm": "layer"}, (1, 16, 27648, "layer norm")),
        ({"norm": "batch"}, (16, 1, 3456, "batch norm")),
        ({"norm": "batch_renorm"}, (16, 1, 3456, "batch renormalization")),
        ({"norm": "none"}, (0, 0, 0, "no norm")),
    ],
)
def test_pool_and_what_it_equals(
    fingerprint: Any, decide: Any, options: dict[str, Any], expected: Any
) -> None:
    plan = decide(fingerprint((12, 12, 12)), features=[16, 32], **options)
    groups, per_group, pool, equals = expected
    assert norm_report(plan)[0] == NormRow("encoder.0.0", 16, groups, per_group, 1728, pool, equals)
    assert len(norm_report(plan)) == 6


@pytest.mark.parametrize(
    ("options", "equals"),
    [
        ({}, "group norm, standardized kernels"),
        ({"num_groups": 1}, "layer norm, standardized kernels"),
    ],
)
def test_standardized_kernels_are_named(
    fingerprint: Any, decide: Any, options: dict[str, Any], equals: str
) -> None:
    plan = decide(fingerprint((12, 12, 12)), features=[16, 32], norm="group_ws", **options)
    assert [row.equals for row in norm_report(plan)][1:] == [equals] * 5
    assert norm_report(plan)[0].equals == equals.split(",", maxsplit=1)[0]
    assert "standardized kernels in all layers but those that see" in plan.reasons["network"]
