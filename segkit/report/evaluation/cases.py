"""Every case of an evaluation, worst first: Dice, and what predict recorded about its labels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.run_records import read_record, recorded_figures

RECORDED = {
    "certainty": "certainty",
    "expected_dice": "expected Dice",
    "pieces": "pieces",
}
"""Figures in run records that are shown beside the Dice of a label, with their titles."""
MODEL_FACTS = ("device", "engine", "precision", "overlap", "tta")
"""Settings in run records that the provenance lists."""


@dataclass(frozen=True)
class CaseFacts:
    """Facts about a case; numbers and words only, so that a thousand cases fit."""

    case: str
    mean: float | None
    """Mean Dice over the labels; None without any label."""
    dice: Mapping[str, float]
    """Dice of each label that occurs."""
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Label -> recorded figure (a key of RECORDED) -> value."""
    warnings: Sequence[str] = ()
    """Recorded warnings about the scan and its labels."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """Recorded model, versions, date and settings; empty without a run record."""


def case_facts(evaluation: Evaluation) -> list[CaseFacts]:
    """Return all cases, those with the lowest mean Dice first; cases without a label come last."""
    dice: dict[str, dict[str, float]] = defaultdict(dict)
    for row in evaluation.rows:
        if row.metric == "dice":
            dice[row.case][row.label] = row.value
    pairs = evaluation.pairs.pairs if evaluation.pairs else ()
    records = {pair.case: read_record(pair.prediction) for pair in pairs}
    labels = list(evaluation.summary["labels"])
    facts = [
        CaseFacts(case, means["dice"], dice[case], **_recorded(records.get(case, {}), labels))
        for case, means in evaluation.summary["cases"].items()
    ]
    return sorted(facts, key=lambda fact: math.inf if fact.mean is None else fact.mean)


def _recorded(record: dict[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    figures, warnings = {}, list(_texts(record.get("scan_warnings")))
    for label in labels:
        recorded = recorded_figures(record, label)
        figures[label] = {
            key: recorded[key] for key in RECORDED if isinstance(recorded.get(key), int | float)
        }
        warnings += [f"{label}: {text}" for text in _texts([recorded.get("warning")])]
    source = {
        key: record[key] for key in ("date", "versions", "model", *MODEL_FACTS) if key in record
    }
    return {"figures": figures, "warnings": warnings, "source": source}


def _texts(values: Any) -> Sequence[str]:
    """Return the strings in a list, without empty ones; a record may hold anything."""
    items = values if isinstance(values, list) else []
    return [value for value in items if isinstance(value, str) and value]


def lowest_label(fact: CaseFacts) -> tuple[str, float] | None:
    """Return the label with the lowest Dice of a case, and that Dice; None without labels.

    >>> lowest_label(CaseFacts("a", 0.5, {"liver": 0.75, "cyst": 0.25}))
    ('cyst', 0.25)
    """
    return min(fact.dice.items(), key=lambda item: item[1], default=None)
