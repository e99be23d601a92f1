"""Reading and writing of plan.json, and upgrades of plans in older formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.files.json_file import read_json
from segkit.labels.codes import segments_of_json
from segkit.plans.plan import (
    FORMAT_VERSION,
    ChannelPlan,
    LayerPlan,
    NetworkPlan,
    Plan,
    StagePlan,
    SymmetryPlan,
    three,
)
from segkit.plans.ranges import ranges_of_json
from segkit.plans.rules import problems

REMEDY = "Compare it with what 'segkit plan DATASET' writes."
WRITER = "'segkit plan DATASET' writes one."

UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Pure functions that upgrade the dict of a plan from format n (the key) to format n + 1."""


def read_plan(path: str | Path) -> Plan:
    """Read plan.json.

    Raises:
        InputError: the file does not exist or is not a plan in JSON.
    """
    return plan_from_dict(read_json(path, expected="a plan as JSON", remedy=WRITER), path)


def plan_text(plan: Plan) -> str:
    """Return the content of plan.json."""
    return json.dumps(plan.to_dict(), indent=2, ensure_ascii=False) + "\n"


def plan_from_dict(content: dict[str, Any], where: str | Path = "plan") -> Plan:
    """Return a plan from JSON types in the current or an older format.

    Args:
        content: as `Plan.to_dict` returns it.
        where: the file, for messages.

    Raises:
        InputError: the format is newer, a key is missing or unknown, or a value is not allowed.
    """
    content = upgrade(content, where)
    try:
        plan = _build(content, where)
        problem = next(problems(plan), None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            where,
            expected="the keys and types of a plan",
            found=f"{type(error).__name__}: {error}",
            remedy=REMEDY,
        ) from error
    if problem:
        raise InputError(
            where, expected="values that can be followed", found=problem, remedy=REMEDY
        )
    return plan


def upgrade(content: dict[str, Any], where: str | Path) -> dict[str, Any]:
    """Upgrade ``content`` to FORMAT_VERSION.

    Raises:
        InputError: the format version is missing or newer.
    """
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise InputError(
            where,
            expected="a whole number under 'format_version'",
            found=repr(version),
            remedy="Is this a plan of segkit?",
        )
    if version > FORMAT_VERSION:
        raise InputError(
            where,
            expected=f"plan format {FORMAT_VERSION} or older",
            found=f"format {version}",
            remedy="It was written by a newer segkit: update segkit to read it.",
        )
    while version < FORMAT_VERSION:
        content = UPGRADES[version](content)
        version = content["format_version"]
    return content


def _build(content: dict[str, Any], where: str | Path) -> Plan:
    segments = content.get("segments", {})
    changed = {
        "channels": tuple(ChannelPlan(**channel) for channel in content["channels"]),
        "spacing": tuple(content["spacing"]),
        "patch": tuple(content["patch"]),
        "mirror_axes": tuple(content["mirror_axes"]),
        "mirror_swaps": tuple((one, other) for one, other in content.get("mirror_swaps", ())),
        "regions": {name: tuple(values) for name, values in content.get("regions", {}).items()},
        "training": ranges_of_json(content.get("training")),
        "segments": segments_of_json(f"{where}, segments", segments, content["labels"]),
        "network": _network(content["network"]),
        "training_poses": _symmetry(content.get("training_poses")),
    }
    return Plan(**{**content, **changed})


def _network(content: dict[str, Any]) -> NetworkPlan:
    changed: dict[str, Any] = {
        part: tuple(_stage(stage) for stage in content[part]) for part in ("encoder", "decoder")
    }
    return NetworkPlan(**{**content, **changed, "symmetry": _symmetry(content.get("symmetry"))})


def _symmetry(content: dict[str, Any] | None) -> SymmetryPlan | None:
    if content is None:
        return None
    return SymmetryPlan(**{**content, "axes": tuple(content["axes"])})


def _stage(content: dict[str, Any]) -> StagePlan:
    return StagePlan(
        kernel=three(content["kernel"]),
        stride=three(content["stride"]),
        layers=tuple(LayerPlan(**layer) for layer in content["layers"]),
    )
