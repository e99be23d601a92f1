"""Check that the models of an ensemble belong together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from segkit.bundle.bundle import Bundle
from segkit.errors import InputError, first_few
from segkit.plans.plan import Plan

MAX_NAMED = 10
"""Largest number of models that an error names."""
_MAY_DIFFER: dict[str, Any] = {
    "name": "",
    "batch_size": 0,
    "reasons": {},
    "needs": {},
    "network": None,
    "ignore": None,
    "segments": {},
    "training": None,
}
"""Fields of a plan that may differ within an ensemble, and the value that replaces them."""
HARMONIZED = (
    "Each training fits its own harmonization to its training cases, and an ensemble prepares a "
    "scan once for all its models. Predict with one of them (-m); or train one model on all cases "
    "with fold=all; or fit once with 'segkit harmonize fit DATASET -o FILE --fold N' and train "
    "models of this fold with several seeds and plan.harmonization=FILE."
)
"""Remedy for models that harmonize scans in different ways."""


def check_ensemble(bundles: Sequence[Bundle]) -> Plan:
    """Check that all bundles prepare scans alike, and return the plan of the first one.

    Raises:
        InputError: bundles with other channels, labels, spacing, windows, mirroring or
            postprocessing.
    """
    first, *others = (_shared(bundle) for bundle in bundles)
    for bundle, other in zip(bundles[1:], others, strict=True):
        for name, expected in first.items():
            if other[name] != expected:
                raise InputError(
                    bundle.path,
                    expected=f"the same {name} in every model of an ensemble "
                    f"({expected}, as {bundles[0].path} has)",
                    found=str(other[name]),
                    remedy=HARMONIZED if name == "harmonization" else _choice(bundles),
                )
    return bundles[0].plan


def _named(harmonization: Mapping[str, Any] | None) -> str:
    """Return a harmonization in a few words, which differ if any of its numbers does."""
    if harmonization is None:
        return "none"
    text = json.dumps(harmonization, sort_keys=True)
    return f"{harmonization['method']} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _choice(bundles: Sequence[Bundle]) -> str:
    """Return the names of the models that were found, newest first, and what to type."""
    newest = sorted(bundles, key=lambda bundle: bundle.created, reverse=True)
    lines = [
        f"  {_typed(bundle)}  ({', '.join(bundle.plan.labels)}; {bundle.created})"
        for bundle in newest
    ]
    models = first_few(lines, MAX_NAMED, separator="\n", last="\n  and ")
    return (
        "These models do not belong together. Choose one of them with -m, or a folder of models "
        f"that were trained with one plan, such as a cross-validation:\n{models}"
    )


def _typed(bundle: Bundle) -> str:
    """Return the path of a model for -m: for a bundle in a run folder, the run folder."""
    path = bundle.path
    return shlex.quote(str(path.parent if path.name == "bundle" else path))


def _shared(bundle: Bundle) -> dict[str, Any]:
    """Return what the models of an ensemble must have in common, by name."""
    plan = dataclasses.replace(bundle.plan, **_MAY_DIFFER)
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(Plan)}
    values["harmonization"] = _named(bundle.plan.harmonization)
    return {**values, "postprocessing": bundle.postprocessing}
