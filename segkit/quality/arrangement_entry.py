"""The usual places of labels in bundle.json: plain numbers, checked when they are read.

    "arrangement": {"anchor": "liver", "cases": 20, "labels": {"spleen": {"cases": 20, "mean":
                    [-92.1, -31.0, 4.2], "sd": [9.8, 11.2, 8.1], "reach": 3.44}},
                    "flagged": {"none": [0, 20]}}

``flagged`` counts scans that a fit to other cases has flagged, and scans that it was compared with,
by kind of degradation. Models of pictures, of a single label, and older ones have no such entry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.plans.plan import Plan
from segkit.quality.arrangement import (
    Arrangement,
    Centers,
    Offset,
    Usual,
    fit_arrangement,
    reach_of,
)
from segkit.quality.features import AS_IT_IS
from segkit.units import is_number, is_whole

ARRANGEMENT_KEY = "arrangement"
"""Key in bundle.json."""


def arrangement_entry(
    cases: Mapping[str, Mapping[str, Centers]], groups: Mapping[str, str], plan: Plan
) -> dict[str, Any]:
    """Return the entry of bundle.json; empty for pictures, one label, or too few cases.

    Args:
        cases: centers of the labels by case and kind of degradation.
        groups: group of each case, which are left out in turn to count flags.
        plan: the plan of the network.
    """
    fitted = _fitted(cases, plan)
    if fitted is None:
        return {}
    return _entry(
        fitted, sum(AS_IT_IS in kinds for kinds in cases.values()), _flagged(cases, groups, plan)
    )


def _fitted(cases: Mapping[str, Mapping[str, Centers]], plan: Plan) -> Arrangement | None:
    if plan.unit != "mm" or set(plan.spacing) == {None}:
        return None
    as_they_are = [kinds[AS_IT_IS] for kinds in cases.values() if AS_IT_IS in kinds]
    return fit_arrangement(as_they_are, list(plan.labels), plan.spacing)


def _flagged(
    cases: Mapping[str, Mapping[str, Centers]], groups: Mapping[str, str], plan: Plan
) -> dict[str, list[int]]:
    """Return the numbers of scans that are flagged and compared, by kind of degradation."""
    counts: dict[str, list[int]] = {}
    for group in dict.fromkeys(groups[case] for case in cases):
        others = {case: kinds for case, kinds in cases.items() if groups[case] != group}
        fitted = _fitted(others, plan) if others else None
        for case, kinds in cases.items() if fitted else ():
            for kind, centers in kinds.items() if groups[case] == group else ():
                if fitted and fitted.anchor in centers and fitted.labels.keys() & centers.keys():
                    count = counts.setdefault(kind, [0, 0])
                    count[0] += bool(fitted.unusual(centers))
                    count[1] += 1
    return counts


def _entry(fitted: Arrangement, cases: int, flagged: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    labels = {
        name: {
            "cases": usual.cases,
            "mean": _rounded(usual.mean),
            "sd": _rounded(usual.sd),
            "reach": round(usual.reach, 4),
        }
        for name, usual in fitted.labels.items()
    }
    content = {"anchor": fitted.anchor, "cases": cases, "labels": labels, "flagged": dict(flagged)}
    return {ARRANGEMENT_KEY: content}


def _rounded(offset: Offset) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in offset]


def joint_arrangement(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entry of an ensemble whose models were measured on different cases.

    Means and variances are those of all cases together. Return an empty dict if a model has none,
    or another anchor.
    """
    entries = [card[ARRANGEMENT_KEY] for card in cards if ARRANGEMENT_KEY in card]
    if not entries or len(entries) < len(cards) or len({one["anchor"] for one in entries}) > 1:
        return {}
    parts = [arrangement_of(card) for card in cards]
    names = dict.fromkeys(name for part in parts if part for name in part.labels)
    joined = [
        (name, _joined([part.labels[name] for part in parts if part and name in part.labels]))
        for name in names
    ]
    tests = sum(value is not None for _, (_, mean, _) in joined for value in mean)
    labels = {
        name: Usual(count, mean, sd, reach_of(count, tests)) for name, (count, mean, sd) in joined
    }
    flagged: dict[str, list[int]] = {}
    for entry in entries:
        for kind, (found, compared) in entry["flagged"].items():
            before = flagged.get(kind, [0, 0])
            flagged[kind] = [before[0] + found, before[1] + compared]
    cases = sum(entry["cases"] for entry in entries)
    return _entry(Arrangement(entries[0]["anchor"], labels), cases, flagged)


def _joined(parts: Sequence[Usual]) -> tuple[int, Offset, Offset]:
    """Return number, mean and standard deviation over the cases of all parts.

    >>> _joined([Usual(2, (1.0,), (1.0,), 9.0), Usual(2, (3.0,), (1.0,), 9.0)])
    (4, (2.0,), (1.4142135623730951,))
    """
    cases = sum(part.cases for part in parts)
    means: list[float | None] = []
    deviations: list[float | None] = []
    for axis in range(len(parts[0].mean)):
        known = [
            (part.cases, mean, sd)
            for part in parts
            if (mean := part.mean[axis]) is not None and (sd := part.sd[axis]) is not None
        ]
        if len(known) < len(parts):
            means.append(None)
            deviations.append(None)
            continue
        mean = sum(n * one for n, one, _ in known) / cases
        squares = sum((n - 1) * sd**2 + n * (one - mean) ** 2 for n, one, sd in known)
        means.append(mean)
        deviations.append(math.sqrt(squares / (cases - 1)))
    return cases, tuple(means), tuple(deviations)


def arrangement_of(card: Mapping[str, Any]) -> Arrangement | None:
    """Return the arrangement in the content of bundle.json; None if there is none.

    Args:
        card: content of bundle.json, checked by `check_arrangement`.
    """
    entry = card.get(ARRANGEMENT_KEY)
    if entry is None:
        return None
    labels = {
        name: Usual(label["cases"], tuple(label["mean"]), tuple(label["sd"]), label["reach"])
        for name, label in entry["labels"].items()
    }
    return Arrangement(entry["anchor"], labels)


def check_arrangement(card: Mapping[str, Any], plan: Plan, where: Path) -> None:
    """Check the arrangement in the content of bundle.json, if there is one.

    Raises:
        InputError: other labels than those of the plan, or anything other than finite numbers.
    """
    if ARRANGEMENT_KEY in card and not _is_valid(card[ARRANGEMENT_KEY], plan):
        raise InputError(
            where,
            expected=f"{ARRANGEMENT_KEY} with an anchor, and for labels of the plan the number of "
            "cases, a reach above 0, and mean and standard deviation above 0 along three axes",
            found=str(card[ARRANGEMENT_KEY])[:200],
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model"
            " again.",
        )


def _is_valid(entry: Any, plan: Plan) -> bool:
    if not isinstance(entry, dict) or entry.get("anchor") not in plan.labels:
        return False
    labels = entry.get("labels")
    return (
        isinstance(labels, dict)
        and bool(labels)
        and labels.keys() <= plan.labels.keys() - {entry["anchor"]}
        and is_whole(entry.get("cases"), 1)
        and _are_counts(entry.get("flagged"))
        and all(map(_is_usual, labels.values()))
    )


def _are_counts(flagged: Any) -> bool:
    """Return whether there are pairs of counts, of scans that were flagged and compared."""
    return isinstance(flagged, dict) and all(
        isinstance(pair, list) and len(pair) == 2 and all(is_whole(one, 0) for one in pair)
        for pair in flagged.values()
    )


def _is_usual(label: Any) -> bool:
    if not isinstance(label, dict) or not is_whole(label.get("cases"), 2):
        return False
    if not is_number(label.get("reach")) or label["reach"] <= 0:
        return False
    mean, sd = label.get("mean"), label.get("sd")
    return (
        isinstance(mean, list)
        and isinstance(sd, list)
        and len(mean) == len(sd) == 3
        and any(value is not None for value in mean)
        and all((m is None) == (s is None) for m, s in zip(mean, sd, strict=True))
        and all(is_number(value) for value in mean if value is not None)
        and all(is_number(value) and value > 0 for value in sd if value is not None)
    )
