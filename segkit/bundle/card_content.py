"""Content of a model card: data, labels, results, limits and training of a model, in JSON types.

Everything comes from what the training recorded in bundle.json, plan.json and config.json. What is
not recorded, as in models of older versions, is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.bundle.card import ModelCard
from segkit.bundle.card_limits import not_for
from segkit.bundle.settings_line import settings_line
from segkit.plans.plan import Plan
from segkit.quality.entry import EXPECTED_KEY
from segkit.units import is_number

CROSS_VALIDATION = "cross_validation"
"""``training.study`` of an ensemble whose Dice is out of fold."""


def card_content(
    model: ModelCard, config: Mapping[str, Any] | None, notes: str = ""
) -> dict[str, Any]:
    """Return the content of the card of a model.

    Args:
        model: the model.
        config: configuration of its training, if there is one.
        notes: text of the user.

    Returns:
        ``data``, ``labels``, ``results`` (None if no Dice is recorded), ``not_for`` (sentences),
        ``training`` and ``notes``.
    """
    content = {
        "data": _data(model),
        "labels": _labels(model.plan),
        "results": _results(model),
        "training": _training(model, config),
    }
    return {**content, "not_for": not_for(content), "notes": notes}


def table_of(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the table ``name`` of facts that a stranger may have written; empty if it is none."""
    value = facts.get(name)
    return value if isinstance(value, dict) else {}


def _data(model: ModelCard) -> dict[str, Any]:
    dataset, training = table_of(model.card, "dataset"), table_of(model.card, "training")
    ranges = model.plan.training
    names = [channel.name for channel in model.plan.channels]
    return {
        "name": dataset.get("name"),
        "hash": dataset.get("hash"),
        "license": dataset.get("license"),
        "cases": training.get("cases"),
        "patients": training.get("patients"),
        "validation_cases": training.get("validation_cases"),
        "validation_patients": training.get("validation_patients"),
        "folds": len(model.folds) if _is_out_of_fold(training) else None,
        "groups": _groups(model, dataset),
        "unnamed_groups": dataset.get("unnamed_groups"),
        "unit": model.plan.unit,
        "measured_cases": ranges.cases if ranges else None,
        "spacing": [list(axis) for axis in ranges.spacing] if ranges else None,
        "size": [list(axis) for axis in ranges.size] if ranges else None,
        "channels": {
            name: {"lowest": list(channel.lowest), "highest": list(channel.highest)}
            if channel
            else None
            for name, channel in zip(
                names, ranges.channels if ranges else [None] * len(names), strict=False
            )
        },
    }


def _groups(model: ModelCard, dataset: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the number of training cases of each site or scanner that is named, if any is."""
    harmonized = (model.plan.harmonization or {}).get("scans")
    return harmonized or table_of(dataset, "groups") or None


def _labels(plan: Plan) -> dict[str, Any]:
    """Return value, number of cases and range of volumes (mm^3, or pixels) of each label."""
    seen = plan.training.labels if plan.training else {}
    labels: dict[str, Any] = {}
    for name, value in plan.labels.items():
        labels[name] = {"value": value, "cases": None, "volume": None}
        if name in seen:
            labels[name] |= {"cases": seen[name].cases, "volume": list(seen[name].volume)}
        elif plan.training:
            labels[name]["cases"] = 0
    return labels


def _results(model: ModelCard) -> dict[str, Any] | None:
    metrics, training = table_of(model.card, "metrics"), table_of(model.card, "training")
    dice, intervals = table_of(metrics, "dice"), table_of(metrics, "intervals")
    measured = {name: dice[name] for name in model.plan.labels if is_number(dice.get(name))}
    mean = metrics.get("mean_dice", metrics.get("dice"))  # the first models had one number
    if not measured and not is_number(mean):
        return None
    return {
        "metric": "Dice",
        "cases": metrics.get("cases"),
        "fold": training.get("fold"),
        "out_of_fold": _is_out_of_fold(training),
        "step": metrics.get("step"),
        "mean": mean if is_number(mean) else None,
        "expected_dice": _accuracy_of_expected_dice(model),
        "labels": {
            name: {"dice": value, **_interval(table_of(intervals, name))}
            for name, value in measured.items()
        },
    }


def _interval(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of cases and patients and the interval; None for what is no number."""
    found = {key: facts.get(key) for key in ("cases", "patients", "low", "high")}
    return {key: value if is_number(value) else None for key, value in found.items()}


def _is_out_of_fold(training: Mapping[str, Any]) -> bool:
    return training.get("study") == CROSS_VALIDATION


_OF_TRAINING = (
    *("minutes", "steps", "precision", "layout", "seed", "fold"),
    *("machine", "versions", "weights", "mask"),
)
"""Facts of a training that are on the card as they are."""


def _accuracy_of_expected_dice(model: ModelCard) -> dict[str, Any] | None:
    """Return how far the expected Dice of a scan is off on cases that its fit did not use."""
    accuracy = table_of(table_of(model.card, EXPECTED_KEY), "accuracy")
    figures = table_of(accuracy, "as_they_are")
    if not is_number(figures.get("error")):
        return None
    return {"cases": accuracy.get("cases"), **figures}


def _training(model: ModelCard, config: Mapping[str, Any] | None) -> dict[str, Any]:
    training = table_of(model.card, "training")
    verb = f"study {CROSS_VALIDATION}" if _is_out_of_fold(training) else "train"
    return {
        "date": model.created,
        "segkit": model.card.get("segkit"),
        **{name: training.get(name) for name in _OF_TRAINING},
        "command": settings_line(config, verb) if config else None,
    }
