"""Limits of a model: what it must not be used for, as its training recorded it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segkit.bundle.card_words import count_words, names_words, per_axis_words
from segkit.units import is_number

POOR = 0.7
"""A label with a mean Dice below this is called poor."""
FEW_CASES = 5
"""Number of cases below which the Dice of a label says little."""


def not_for(content: Mapping[str, Any]) -> list[str]:
    """Return what the model must not be used for, one sentence or two in each entry.

    Args:
        content: ``data``, ``labels`` and ``results`` of `segkit.bundle.card_content.card_content`.
    """
    return [
        "Diagnosis or treatment: it is for research only and no medical device. A responsible"
        " person must look at every result.",
        *_scans(content["data"]),
        "Patients unlike those of the training. Their age, sex, disease and origin are not"
        " recorded.",
        *_labels(content),
    ]


def _scans(data: Mapping[str, Any]) -> Iterator[str]:
    noun = "channel" if len(data["channels"]) == 1 else "channels"
    names = names_words(data["channels"])
    yield f"Scans of another modality, sequence or contrast than those of the {noun} {names}."
    if data["spacing"]:
        spacing, size = (per_axis_words(data[key], data["unit"]) for key in ("spacing", "size"))
        yield (
            f"Voxel sizes other than {spacing}, and fields of view other than {size}: nothing is"
            " known about them."
        )
    else:
        yield (
            "Scans whose voxel size or field of view differs from those of the training, which are"
            " not recorded."
        )
    if data["groups"]:
        yield (
            f"Sites or scanners other than {names_words(data['groups'])}, without a test: how good"
            " it is on others was not measured."
        )
    else:
        yield "Other sites or scanners, without a test: those of the training are not recorded."


def _labels(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence about the labels that are poor, uncertain or unknown, each label once."""
    measured = content["results"]["labels"] if content["results"] else {}
    labels = content["labels"]
    absent = [name for name, label in labels.items() if label["cases"] == 0]
    if absent:
        yield f"{names_words(absent)}: no case of the dataset has it."
    unmeasured = [name for name in labels if name not in measured and name not in absent]
    if unmeasured:
        yield f"{names_words(unmeasured)}, without a test: no Dice is recorded."
    doubts = {name: doubt for name, result in measured.items() if (doubt := _doubt(result))}
    for doubt in dict.fromkeys(doubts.values()):
        names = [
            f"{name} ({measured[name]['dice']:.3f})" for name in doubts if doubts[name] == doubt
        ]
        yield f"{names_words(names)}: {doubt}."


def _doubt(result: Mapping[str, Any]) -> str:
    """Return why the Dice of a label says that it must not be relied on; empty if it does not."""
    low, cases = result["low"], result["cases"]
    if result["dice"] < POOR:
        return f"poor, as the mean Dice is below {POOR}"
    if is_number(cases) and cases < FEW_CASES:
        return f"without a test, as the Dice was measured on {count_words(cases, 'case')}"
    if is_number(low) and low < POOR:
        return f"without a test, as the interval of the Dice reaches below {POOR}"
    return ""
