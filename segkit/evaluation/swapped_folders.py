"""Recognize predictions and references that are swapped or belong to different cases."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from segkit.errors import InputError, first_few

log = logging.getLogger(__name__)

_LABEL_FOLDERS = ("labelsTr", "labelsTs", "labels")
_DATASET_FILES = ("dataset.json", "dataset.yaml", "imagesTr", "imagesTs", "images")
_PREDICTION_FILES = ("predictions.json", "predict_from_raw_data_args.json")
"""Files that segkit and nnU-Net write next to their predictions."""
SHOWN = 5
"""Number of cases that a message names."""


def check_order(predictions: Path, references: Path, *, references_are_dataset: bool) -> None:
    """Refuse a dataset in place of predictions, and warn if both are swapped or the same.

    Raises:
        InputError: ``predictions`` is a dataset.
    """
    if _is_dataset_with_images(predictions):
        swap = "Give the folder of the predictions." if references_are_dataset else "Swap the two."
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
    if references_are_dataset:
        return
    first, second = _folder(predictions), _folder(references)
    reason = ""
    if _is_annotated(first) and not _is_annotated(second):
        reason = f"{first} lies in a dataset"
    elif _is_predicted(second) and not _is_predicted(first):
        reason = f"{second} holds results of a prediction"
    if reason:
        log.warning(
            "%s: are predictions and references swapped? The order is PREDICTIONS REFERENCES",
            reason,
        )


def warn_of_missing(missing: Sequence[str], paired: int, references: Path) -> None:
    """Warn of references without a prediction.

    Args:
        missing: ids of these cases.
        paired: number of cases with a prediction.
        references: the folder of the references.
    """
    if not missing:
        return
    total = len(missing) + paired
    log.warning(
        "%d of %d references have no prediction: %s", len(missing), total, first_few(missing, SHOWN)
    )
    if len(missing) > paired:
        log.warning(
            "most cases of %s are missing among the predictions: do both belong to the same cases?",
            references,
        )


def warn_of_ignored(cases: Sequence[str], ignore: int) -> None:
    """Warn of predictions with the ignore value, which only references can have."""
    if cases:
        log.warning(
            "%d predictions have the ignore label %d, which no model predicts (%s): are"
            " predictions and references swapped?",
            len(cases),
            ignore,
            first_few(cases, SHOWN),
        )


def warn_of_other_numbers(cases: Sequence[str], total: int) -> None:
    """Warn of predictions that overlap with their reference but share no label with it."""
    if cases:
        log.warning(
            "%d of %d predictions overlap with their reference, but no label does (%s): do both"
            " use the same label values? Save one of them with the values of the other.",
            len(cases),
            total,
            first_few(cases, SHOWN),
        )


def _is_dataset_with_images(path: Path) -> bool:
    """Return whether a path is a dataset.

    A dataset.json is not enough: nnU-Net writes one into a folder of predictions as well.
    """
    if not path.is_dir():
        return path.suffix.lower() == ".csv" or path.name in ("dataset.json", "dataset.yaml")
    return any((path / name).is_dir() for name in ("imagesTr", "images"))


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _is_annotated(folder: Path) -> bool:
    """Return whether a folder is the label folder of a dataset, by its name and its neighbors."""
    path = folder.resolve()
    in_dataset = any((path.parent / name).exists() for name in _DATASET_FILES)
    return path.name in _LABEL_FOLDERS and in_dataset


def _is_predicted(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _PREDICTION_FILES)
