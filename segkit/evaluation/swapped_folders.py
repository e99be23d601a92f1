"""Predictions and references that were given in the wrong order, or of which most are missing."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from segkit.errors import InputError, first_few

log = logging.getLogger(__name__)

_LABEL_FOLDERS = ("labelsTr", "labelsTs", "labels")
_OF_DATASETS = ("dataset.json", "dataset.yaml", "imagesTr", "imagesTs", "images")
_OF_PREDICTIONS = ("predictions.json", "predict_from_raw_data_args.json")
"""Files that segkit and nnU-Net write beside what they predict."""
SHOWN = 5


def check_order(predictions: Path, references: Path, *, references_are_dataset: bool) -> None:
    """Refuse a dataset in the place of predictions, and warn where the two look swapped or are one.

    Raises:
        InputError: ``predictions`` is a dataset.
    """
    if _holds_cases(predictions):
        swap = (
            "Give the folder of what was predicted." if references_are_dataset else "Swap the two."
        )
        raise InputError(
            predictions,
            expected="predictions: a label map or a folder of them",
            found="a dataset, which can only be the references",
            remedy=f"The order is PREDICTIONS REFERENCES. {swap}",
        )
    if predictions.resolve() == references.resolve():
        log.warning(
            "%s is given as predictions and as references: it is compared with itself", predictions
        )
    ours, theirs = _folder(predictions), _folder(references)
    annotated = not references_are_dataset and _is_annotated(ours) and not _is_annotated(theirs)
    predicted = not references_are_dataset and _is_predicted(theirs) and not _is_predicted(ours)
    if annotated or predicted:
        why = (
            f"{ours} lies in a dataset" if annotated else f"{theirs} holds results of a prediction"
        )
        log.warning(
            "%s: are predictions and references swapped? The order is PREDICTIONS REFERENCES", why
        )


def warn_of_missing(missing: Sequence[str], paired: int, references: Path) -> None:
    """Say which references have no prediction."""
    if not missing:
        return
    total = len(missing) + paired
    log.warning(
        "%d of %d references have no prediction: %s", len(missing), total, first_few(missing, SHOWN)
    )
    if len(missing) > paired:
        log.warning(
            "most cases of %s are missing among the predictions: are both of one set of cases?",
            references,
        )


def warn_of_ignored(cases: Sequence[str], ignore: int) -> None:
    """Say which predictions have the value of what nobody has annotated, which only references have."""
    if cases:
        log.warning(
            "%d predictions have the ignore label %d, which no model predicts (%s): "
            "are predictions and references swapped?",
            *(len(cases), ignore, first_few(cases, SHOWN)),
        )


def warn_of_other_numbers(cases: Sequence[str], total: int) -> None:
    """Say which predictions mark the place of their reference and share no label with it."""
    if cases:
        log.warning(
            "%d of %d predictions overlap with their reference, but no label does (%s): do both number the labels "
            "alike? Save one of them with the values of the other.",
            *(len(cases), total, first_few(cases, SHOWN)),
        )


def failed_cases(predictions: Path) -> set[str]:
    """Return the cases that a predictions.json in a folder, or those of parts of a list, say failed."""
    records = sorted(predictions.glob("predictions*.json")) if predictions.is_dir() else []
    return {case for record in records for case in _failed_in(record)}


def _failed_in(record: Path) -> set[str]:
    try:
        content = json.loads(record.read_bytes())
    except (OSError, ValueError, RecursionError):
        return set()
    cases = content.items() if isinstance(content, dict) else ()
    return {
        case
        for case, outcome in cases
        if isinstance(outcome, dict) and outcome.get("status") == "failed"
    }


def _holds_cases(path: Path) -> bool:
    """Return whether a path is a dataset; nnU-Net writes a dataset.json into a folder of predictions as well."""
    if not path.is_dir():
        return path.suffix.lower() == ".csv" or path.name in ("dataset.json", "dataset.yaml")
    return any((path / name).is_dir() for name in ("imagesTr", "images"))


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _is_annotated(folder: Path) -> bool:
    above = folder.resolve().parent
    return folder.resolve().name in _LABEL_FOLDERS and any(
        (above / name).exists() for name in _OF_DATASETS
    )


def _is_predicted(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _OF_PREDICTIONS)
