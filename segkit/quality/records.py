"""Expected Dice in the record of a prediction, in JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segkit.quality.entry import EXPECTED_KEY
from segkit.quality.expected_dice import LabelQuality
from segkit.quality.features import AS_IT_IS

FEW_CASES = 10
"""Number of validation cases below which the record says that they are few."""


def label_record(quality: LabelQuality | None) -> dict[str, Any]:
    """Return the figures of one label; none if the Dice of labels was not estimated."""
    if quality is None:
        return {}
    return {"expected_dice": quality.dice, "expected_dice_error": quality.error}


def scan_record(
    labels: Mapping[str, LabelQuality],
    cards: Sequence[Mapping[str, Any]],
    *,
    no_dice_because: str = "",
) -> dict[str, Any]:
    """Return the figures of a scan: means over its labels, and what they rest on.

    Errors of labels of one scan go together, so that the error of the mean is their mean.

    Args:
        labels: expected Dice of each label that is written.
        cards: content of bundle.json of each model.
        no_dice_because: why the Dice of this scan is not known.

    >>> labels = {"a": LabelQuality(0.75, 0.125), "b": LabelQuality(0.25, 0.375)}
    >>> usual = {"a": {"dice": 0.875}, "b": {"dice": 0.625}}
    >>> cards = [{"expected_dice": {"accuracy": {"cases": 20}, "labels": usual}}]
    >>> scan_record(labels, cards)["expected_dice"]
    {'mean': 0.5, 'error': 0.25, 'usual': 0.75, 'cases': 20, 'note': ''}
    """
    if not labels:
        return {}
    dice = [one.dice for one in labels.values() if one.dice is not None]
    errors = [one.error for one in labels.values() if one.error is not None]
    known = [name for name, one in labels.items() if one.dice is not None]
    usual = [card[EXPECTED_KEY]["labels"][name]["dice"] for card in cards for name in known]
    cases = sum(card[EXPECTED_KEY]["accuracy"]["cases"] for card in cards)
    few = f"fitted to {cases} validation cases only; the errors are widened"
    note = f"no estimate: {no_dice_because}" if no_dice_because else few * (cases < FEW_CASES)
    return {
        "expected_dice": {
            "mean": _mean(dice),
            "error": _mean(errors),
            "usual": _mean(usual),
            "cases": cases,
            "note": note,
        }
    }


def accuracy_text(accuracy: Mapping[str, Any]) -> str:
    """Return in words how accurate an expected Dice is on cases that a fit had not seen.

    Args:
        accuracy: the part of bundle.json (`segkit.quality.accuracy.estimate_with_accuracy`).
    """
    known, with_copies = accuracy["as_they_are"], accuracy["with_degraded"]
    return (
        f"fitted to {accuracy['cases']} validation cases and degraded copies of them; on cases that"
        f" a fit had not seen, its mean absolute error was {known['error']:.3f} for scans as they "
        f"are (always saying the mean of the label: {known['error_of_mean']:.3f}) and "
        f"{with_copies['error']:.3f} with the copies"
    )


def calibration_text(entry: Mapping[str, Any]) -> str:
    """Return temperatures and calibration errors in words.

    Args:
        entry: the part of bundle.json (`segkit.quality.calibration`).

    >>> ece = {"a": {"before": 0.02, "after": 0.01}}
    >>> calibration_text({"cases": 5, "temperatures": {"a": 1.5}, "ece": ece})
    'a temperature 1.5, ECE 0.0200 before and 0.0100 after'
    """
    parts = []
    for name, temperature in entry["temperatures"].items():
        error = entry["ece"].get(name)
        text = f"{name} temperature {temperature:.3g}"
        if error:
            text += f", ECE {error['before']:.4f} before and {error['after']:.4f} after"
        parts.append(text)
    return "; ".join(parts)


def arrangement_text(entry: Mapping[str, Any]) -> str:
    """Return in words which places of labels are compared, and how often they were unusual.

    Args:
        entry: the part of bundle.json (`segkit.quality.arrangement_entry`).

    >>> flagged = {"none": [1, 20], "orientation": [19, 20]}
    >>> labels = {"tail": {}}
    >>> entry = {"anchor": "head", "cases": 20, "labels": labels, "flagged": flagged}
    >>> for part in arrangement_text(entry).split("; "):
    ...     print(part)
    where tail lies from head, fitted to 20 validation cases
    unusual in 1 of 20 scans left out of the fit
    and of degraded copies of these: orientation 19 of 20
    """
    counts = {
        kind: f"{found} of {compared}" for kind, (found, compared) in entry["flagged"].items()
    }
    own = counts.pop(AS_IT_IS, "")
    copies = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    return (
        f"where {', '.join(entry['labels'])} {'lies' if len(entry['labels']) == 1 else 'lie'} from "
        f"{entry['anchor']}, fitted to {entry['cases']} validation cases"
        + (f"; unusual in {own} scans left out of the fit" if own else "; not tested on others")
        + (f"; and of degraded copies of these: {copies}" if copies else "")
    )


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
