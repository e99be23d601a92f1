"""Labels that no patch of a training contains are named."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from segkit.config.schema import AugmentConfig
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.data.label_coverage import labels_never_drawn, warn_of_labels_never_drawn
from segkit.training.data.patches import PatchDataset, PatchRules


def patches(
    plan: Plan, names: list[str], voxel_of: list[dict[int, int]], foreground: float = 0.5
) -> PatchDataset:
    """Return cases of 8^3 voxels; label l of case c is one voxel at x = y = z = voxel_of[c][l]."""
    plan = dataclasses.replace(
        plan, labels={name: i for i, name in enumerate(names, start=1)}, patch=(4, 4, 4)
    )
    cases = []
    for number, voxels in enumerate(voxel_of):
        positions = {label: np.full((1, 3), x, np.int32) for label, x in voxels.items()}
        cases.append(
            PreparedCase(
                str(number),
                np.zeros((1, 8, 8, 8), np.float32),
                np.zeros((8, 8, 8), np.uint8),
                positions,
            )
        )
    return PatchDataset(cases, PatchRules(plan, AugmentConfig(), 0, foreground))


def test_a_label_that_no_case_has_is_never_drawn(plan_for_balls: Plan) -> None:
    data = patches(plan_for_balls, ["a", "b", "c"], [{1: 1, 3: 1}, {1: 1, 3: 1}])
    assert labels_never_drawn(data, 10**9) == ["b"]


def test_a_label_beside_the_drawn_one_is_seen(plan_for_balls: Plan) -> None:
    assert (
        labels_never_drawn(patches(plan_for_balls, ["a", "b"], [{1: 1, 2: 2}], foreground=1), 1)
        == []
    )
    apart = patches(plan_for_balls, ["a", "b"], [{1: 0, 2: 7}], foreground=1)
    assert len(labels_never_drawn(apart, 1)) == 1
    assert labels_never_drawn(apart, 20) == []
    assert labels_never_drawn(apart, 0) == ["a", "b"]


def test_a_rare_label_is_seen_soon(plan_for_balls: Plan) -> None:
    data = patches(plan_for_balls, ["a", "b"], [{1: 0}] * 19 + [{1: 0, 2: 7}])
    assert labels_never_drawn(data, 30) == []


def test_the_warning_names_them(plan_for_balls: Plan, caplog: pytest.LogCaptureFixture) -> None:
    data = patches(plan_for_balls, ["a", "b"], [{1: 1}])
    with caplog.at_level(logging.WARNING):
        warn_of_labels_never_drawn(data, 50, 2)
    assert "no training patch of 50 steps shows b: it cannot be learned" in caplog.text
