"""What the models of an ensemble must have in common."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from segkit.bundle.bundle import Bundle
from segkit.errors import InputError, first_few
from segkit.plans.plan import Plan

MOST_NAMED = 10
"""Models that are named where they do not belong together."""
_FREE: dict[str, Any] = {
    **{
        "name": "",
        "batch_size": 0,
        "reasons": {},
        "needs": {},
        "network": None,
        "ignore": None,
        "segments": {},
    },
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
                    remedy=_choice(bundles),
                )
    return bundles[0].plan


def _choice(bundles: Sequence[Bundle]) -> str:
    """Name the models that were found, newest first, and what to type."""
    newest = sorted(bundles, key=lambda bundle: bundle.created, reverse=True)
    lines = [
        f"  {_typed(bundle)}  ({', '.join(bundle.plan.labels)}; {bundle.created})"
        for bundle in newest
    ]
    models = first_few(lines, MOST_NAMED, separator="\n", last="\n  and ")
    return (
        "These models do not belong together. Choose one of them with -m, or a folder of models that were trained "
        f"with one plan, such as a cross-validation:\n{models}"
    )


def _typed(bundle: Bundle) -> str:
    """The path of a model as -m takes it: the run folder of a bundle in one."""
    path = bundle.path
    return shlex.quote(str(path.parent if path.name == "bundle" else path))


def _shared(bundle: Bundle) -> dict[str, Any]:
    """What the models of an ensemble must have in common, by name."""
    plan = dataclasses.replace(bundle.plan, **_FREE)
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(Plan)}
    return {**values, "postprocessing": bundle.postprocessing}
