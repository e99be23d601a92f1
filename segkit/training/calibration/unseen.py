"""The cases of a dataset that a network was not trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.bundle.card import ModelCard
from segkit.bundle.trained_on import trained_on
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.split import split_cases
from segkit.errors import InputError, UsageError
from segkit.files.json_file import read_json
from segkit.training.data.split import SPLIT
from segkit.training.model_settings import run_of
from segkit.training.outputs.quality import spread_cases

log = logging.getLogger(__name__)

Cases = Sequence[Case]


def unseen_cases(
    model: ModelCard, fold: str, dataset: Dataset, stored: TrainConfig | None, *, trust: bool
) -> Cases:
    """Return the labeled cases of patients of whom the network of a fold has seen no scan.

    They are found by the hashes of scans in bundle.json. For a model of an older version they are
    the validation cases of the split.json of its run, or those of its fold if the dataset has not
    changed since.

    Args:
        model: the model.
        fold: name of the fold.
        dataset: the cases, with the hashes of their voxels.
        stored: configuration of the training, if it is known.
        trust: the user says that no case was trained on; cases that the record names are still left
            out.

    Raises:
        InputError: nothing says which cases the network was trained on.
    """
    labeled = [case for case in dataset.cases if case.label is not None]
    record = trained_on(model.card, fold)
    if record is not None:
        unseen = record.unseen(labeled)
        if not record.complete and not trust:
            _warn_of_earlier_training(model)
        return unseen
    if trust:
        return labeled
    ids = _validation_ids(model, fold, dataset, stored)
    if ids is None:
        raise InputError(
            model.path,
            expected="a record of the scans that the model was trained on",
            found="none, as in models of older versions, and the dataset is not that of the "
            "training as it was",
            remedy="Give the folder of its run, which has split.json; or, if the model was trained "
            "on none of these cases, say so with --unseen.",
        )
    if "weights" in model.card.get("training", {}):
        _warn_of_earlier_training(model)
    return [case for case in labeled if case.id in ids]


def _warn_of_earlier_training(model: ModelCard) -> None:
    log.warning(
        "%s was trained from an earlier model, which does not record its scans: if some of these "
        "cases are among them, the expected Dice will be too high",
        model.path,
    )


def _validation_ids(
    model: ModelCard, fold: str, dataset: Dataset, stored: TrainConfig | None
) -> set[str] | None:
    """Return the ids of the validation cases of a fold; None if nothing tells them."""
    is_same = _is_as_it_was(model, dataset)
    path = _split_file(model, fold)
    if path is not None:
        if not is_same:
            log.warning(
                "names, sizes or dates of the files in %s are not those of the training: cases "
                "are told apart by their ids, and those that validate in %s count as unseen",
                dataset.root,
                path,
            )
        return set(read_json(path).get("validation", []))
    if stored is None or not is_same:
        return None
    try:
        split = split_cases(dataset, fold if fold == "all" else int(fold), stored.folds)
    except (UsageError, ValueError):
        return None
    return {case.id for case in split.validation}


def _is_as_it_was(model: ModelCard, dataset: Dataset) -> bool:
    facts: Mapping[str, Any] = model.card.get("dataset") or {}
    return facts.get("hash") == dataset.content_hash()


def _split_file(model: ModelCard, fold: str) -> Path | None:
    """Return the split.json of the run of a fold: a training, or one of a study's."""
    run = run_of(model)
    if run is None:
        return None
    rounds = sorted(run.glob("round_*"), key=lambda path: (len(path.name), path.name))
    for folder in (run, run / f"fold_{fold}", *rounds):
        if (folder / SPLIT).is_file():
            return folder / SPLIT
    return None


def shared_out(candidates: Mapping[str, Cases], most: int) -> dict[str, list[Case]]:
    """Return the cases that each network measures: no case twice, and a patient with one network.

    The networks of a cross-validation have different candidates; networks with the same ones share
    them.

    Args:
        candidates: cases that each network has not seen, by fold.
        most: largest number of cases of a network.

    >>> a, b, c = (Case(name, ()) for name in "abc")
    >>> shared = shared_out({"0": [a, b, c], "1": [a, b, c]}, 9)
    >>> {fold: [case.id for case in cases] for fold, cases in shared.items()}
    {'0': ['a', 'c'], '1': ['b']}
    """
    shared: dict[str, list[Case]] = {fold: [] for fold in candidates}
    able: dict[str, list[str]] = {}
    for fold, cases in candidates.items():
        for case in cases:
            able.setdefault(case.id, []).append(fold)
    networks: dict[str, str] = {}
    for case in {case.id: case for cases in candidates.values() for case in cases}.values():
        fewest = min(able[case.id], key=lambda fold: len(shared[fold]))
        fold = networks.setdefault(case.patient or case.id, fewest)
        if fold in able[case.id]:
            shared[fold].append(case)
    return {fold: spread_cases(cases, most) for fold, cases in shared.items()}
