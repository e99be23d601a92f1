"""What the models of an ensemble must have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from segkit.bundle import Bundle
from segkit.errors import InputError
from segkit.plans import Plan

_FREE: dict[str, Any] = {
    **{"name": "", "batch_size": 0, "reasons": {}, "needs": {}, "network": None, "ignore": None, "segments": {}},
    "training": None,
}
"""What the plans of an ensemble need not have in common."""


def check_ensemble(bundles: Sequence[Bundle]) -> Plan:
    """The plan of the first bundle, once all of them are known to see a scan in the same way.

    Raises:
        InputError: another plan for channels, labels, spacing, window or what mirrors, or other post-processing.
    """
    first, *others = (_shared(bundle) for bundle in bundles)
    for bundle, other in zip(bundles[1:], others, strict=True):
        for name, here in first.items():
            there = other[name]
            if here != there:
                raise InputError(
                    bundle.path,
                    expected=f"the same {name} in every model of an ensemble ({here}, as {bundles[0].path} has)",
                    found=str(there),
                    remedy="Predict with one of them, or take models that were trained with one plan.",
                )
    return bundles[0].plan


def _shared(bundle: Bundle) -> dict[str, Any]:
    """What the models of an ensemble must have in common, by name."""
    plan = dataclasses.replace(bundle.plan, **_FREE)
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(Plan)}
    return {**values, "postprocessing": bundle.postprocessing}
