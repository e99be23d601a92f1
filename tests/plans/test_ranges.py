from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segkit.errors import InputError
from segkit.plans.plan_file import plan_from_dict, plan_text, read_plan
from segkit.plans.ranges import ChannelRange, DataRanges, LabelRange

FROZEN = read_plan(Path(__file__).parents[1] / "data" / "plan_v1.json")
RANGES = DataRanges(
    cases=3,
    spacing=((1.0, 1.0), (1.0, 1.5), (2.0, 5.0)),
    size=((40.0, 60.0), (40.0, 60.0), (30.0, 50.0)),
    channels=(ChannelRange((-1024.0, -1000.0), (900.0, 3071.0)),),
    labels={"organ": LabelRange(3, (1200.0, 2300.0), (1, 2))},
)


def test_older_plans_have_no_ranges() -> None:
    assert FROZEN.training is None
    assert "training" not in FROZEN.to_dict()


def test_ranges_are_kept_in_the_file_and_decide_nothing() -> None:
    plan = replace(FROZEN, training=RANGES)
    assert plan_from_dict(json.loads(plan_text(plan))).training == RANGES
    assert plan.hash() == FROZEN.hash()


@pytest.mark.parametrize(
    "changes",
    [
        {"cases": "many"},
        {"spacing": [[1, 1], [1, 1]]},
        {"size": [[2, 1], [1, 1], [1, 1]]},
        {"size": [["1", "2"], [1, 1], [1, 1]]},
        {"channels": [{}]},
        {"labels": 3},
        {"labels": {"organ": {"cases": 1, "volume": [1, float("inf")], "pieces": [1, 1]}}},
    ],
)
def test_ranges_that_are_none(changes: dict[str, Any]) -> None:
    content = replace(FROZEN, training=RANGES).to_dict()
    content["training"] = json.loads(json.dumps(content["training"])) | changes
    with pytest.raises(InputError, match="expected the keys and types of a plan"):
        plan_from_dict(content)
