"""Fit the expected Dice and the temperatures of a finished model, and write them into it.

The end of a training does the same where it has time. Each network is measured on cases that it was
not trained on, as they are and degraded (`segkit.training.outputs.measured_quality`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segkit.bundle.bundle import Bundle, fill_network, read_bundle
from segkit.bundle.lookup import ensemble_paths, resolve_model
from segkit.bundle.pack import update_card
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError, UsageError
from segkit.fingerprint.cache import load_or_measure
from segkit.fingerprint.identical_images import copies_of, with_voxels_hashes
from segkit.machine.folders import folder
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.planning.groups import patients_of
from segkit.planning.plan_dataset import fitting_plan, open_dataset
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import prepare_cases
from segkit.progress import CaseCounter
from segkit.quality.accuracy import MIN_CASES, groups_of_cases
from segkit.quality.example_file import write_examples
from segkit.training.calibration.settings import calibration_config, store_of
from segkit.training.calibration.unseen import shared_out, unseen_cases
from segkit.training.compute.device import device_for, use_machine
from segkit.training.model_settings import run_of, settings_of_training
from segkit.training.outputs.measured_quality import (
    FittedQuality,
    MeasuredCase,
    fitted_quality,
    measure_case,
)
from segkit.training.outputs.quality import MAX_CASES
from segkit.training.outputs.run_folder import run_state

log = logging.getLogger(__name__)

CALIBRATED_KEY = "calibrated_on"
"""Key in bundle.json: when and on which cases the entries were fitted after the training."""
OTHER_DATA = (
    "Give the dataset of the model, or one with the same channels and labels; dataset.channels and"
    " dataset.labels name them."
)


@dataclass(frozen=True)
class Wanted:
    """Number of cases to measure, and the time for it."""

    cases: int = MAX_CASES
    """Largest number of cases of each network."""
    minutes: float | None = None
    """Largest number of minutes for measuring; None for all cases."""
    unseen: bool = False
    """True if the user says that the model was trained on none of the cases."""


@dataclass(frozen=True)
class Network:
    """Network of one fold on its device."""

    average: nn.Module
    mode: ComputeMode
    device: torch.device


def calibrate(
    model: str, *words: str, wanted: Wanted = Wanted()
) -> Iterator[tuple[Bundle, FittedQuality]]:
    """Fit expected Dice and temperatures of each model of an ensemble, and write them into it.

    Args:
        model: path or name of a model.
        words: KEY=VALUE settings of the dataset and the hardware. Settings of the dataset that are
            not given are those of the training, and so is its path if the model is in its run.
        wanted: what is to be measured.

    Yields:
        Each model when it is written, and what was fitted to it.

    Raises:
        UsageError: an override that makes no sense, or the model of an unfinished training.
        InputError: a model or dataset that cannot be used, or too few cases that the model was not
            trained on.
    """
    for path in ensemble_paths(resolve_model(model)):
        yield _calibrate_one(read_bundle(path), words, wanted)


@dataclass(frozen=True)
class _Work:
    """A model, and the cases that it is measured on."""

    model: Bundle
    plan: Plan
    dataset: Dataset
    cases: Mapping[str, list[Case]]
    """Cases of the network of each fold."""
    store: Path
    """Folder of prepared cases."""


def _calibrate_one(
    model: Bundle, words: Sequence[str], wanted: Wanted
) -> tuple[Bundle, FittedQuality]:
    run = run_of(model)
    if run is not None and run_state(run) == "unfinished":
        raise UsageError(
            f"the training in {run} is unfinished: continue it with --resume, then calibrate"
        )
    _check_writable(model)
    stored = settings_of_training(model)
    config = calibration_config(model, stored, words)
    with store_of(config, run) as store:
        dataset, plan = _dataset(model, config, store)
        cases = _cases(model, dataset, stored, wanted)
        work = _Work(model, plan, dataset, cases, store)
        measured = _measured(work, config, wanted)
    fitted = fitted_quality(measured, plan, _groups(cases, measured))
    _check_fitted(model, fitted, measured)
    entries = {**fitted.entries, **_provenance(dataset, measured, wanted)}
    updated = update_card(model, entries)
    if run is not None and len(model.folds) == 1:
        write_examples(run, fitted.examples)
    return updated, fitted


def _check_writable(model: Bundle) -> None:
    """Check that the model can be written, before cases are measured for minutes.

    Raises:
        InputError: it cannot be written.
    """
    place = model.path.resolve()
    problem = folder(place if place.is_dir() else place.parent).problem
    if problem:
        raise InputError(
            model.path,
            expected="a model that can be written to",
            found=problem,
            remedy="Copy it to a folder that can be written to, and calibrate the copy.",
        )


def _dataset(model: Bundle, config: TrainConfig, store: Path) -> tuple[Dataset, Plan]:
    """Return the dataset, with hashes of voxels, and the plan of the model for it."""
    dataset = open_dataset(config)
    plan = fitting_plan(model.plan, dataset, model.path, remedy=OTHER_DATA)
    with CaseCounter("reading") as counter:
        facts = load_or_measure(dataset, store, counter.show).cases
    patients = patients_of(dataset, copies_of(facts), config)
    return with_voxels_hashes(patients, facts), plan


def _cases(
    model: Bundle, dataset: Dataset, stored: TrainConfig | None, wanted: Wanted
) -> dict[str, list[Case]]:
    """Return the cases that the network of each fold measures.

    Raises:
        InputError: too few of them.
    """
    candidates = {
        fold: unseen_cases(model, fold, dataset, stored, trust=wanted.unseen)
        for fold in model.folds
    }
    cases = shared_out(candidates, wanted.cases)
    count = sum(map(len, cases.values()))
    log.info(
        "%d of %d cases were not in the training of %s",
        len({case.id for found in candidates.values() for case in found}),
        len(dataset.cases),
        model.name,
    )
    if count < MIN_CASES:
        raise _too_few(model, f"{count} of the {len(dataset.cases)} cases of {dataset.root}")
    return cases


def _too_few(model: Bundle, found: str) -> InputError:
    return InputError(
        model.path,
        expected=f"{MIN_CASES} labeled cases or more, of two patients, that the model was not "
        "trained on, and in which it finds a label",
        found=found,
        remedy="Give dataset=PATH with other labeled cases. An expected Dice that is fitted to "
        "training cases would be too high.",
    )


def _measured(work: _Work, config: TrainConfig, wanted: Wanted) -> dict[str, MeasuredCase]:
    """Return the figures of the cases of each network, as far as there is time."""
    device = device_for(config)
    use_machine(config.trainer, device)
    seconds = math.inf if wanted.minutes is None else 60 * wanted.minutes
    start, total = time.monotonic(), sum(map(len, work.cases.values()))
    measured: dict[str, MeasuredCase] = {}
    with CaseCounter("measuring") as counter:
        for number, (fold, cases) in enumerate(work.cases.items()):
            network = _network(work, fold, device)
            end = start + seconds * (number + 1) / len(work.cases)
            for case in _until(end, cases):
                (prepared,) = prepare_cases([case], work.dataset, work.plan, work.store)
                measured[case.id] = measure_case(network, prepared, work.plan)
                counter.show(len(measured), total)
    if len(measured) < total:
        log.warning("measured %d of %d cases, as --minutes allows", len(measured), total)
    return measured


def _until(end: float, cases: Iterable[Case]) -> Iterator[Case]:
    """Yield cases as long as another one that takes as long as the last ends in time."""
    last = 0.0
    for case in cases:
        before = time.monotonic()
        if last and before + last > end:
            return
        yield case
        last = time.monotonic() - before


def _network(work: _Work, fold: str, device: torch.device) -> Network:
    """Return the network of a fold in the precision of its training, if the device has it."""
    model = work.model
    training: Mapping[str, Any] = model.card.get("training") or {}
    precision, layout = training.get("precision"), training.get("layout", "channels_last")
    if precision != "bfloat16" and not (precision == "float16" and device.type == "cuda"):
        precision = "float32"
    network = fill_network(work.plan, model.state(fold), model.path)
    network = network_to_memory_format(network, layout).to(device)
    return Network(network, ComputeMode(precision, layout), device)


def _groups(
    cases: Mapping[str, list[Case]], measured: Mapping[str, MeasuredCase]
) -> Mapping[str, str]:
    """Return the group of each measured case: the fold if there are several, else by patient."""
    by_fold = {case.id: fold for fold, own in cases.items() for case in own if case.id in measured}
    if len(set(by_fold.values())) > 1:
        return by_fold
    patients = {case.id: case.patient for own in cases.values() for case in own}
    return groups_of_cases(measured, patients)


def _check_fitted(
    model: Bundle, fitted: FittedQuality, measured: Mapping[str, MeasuredCase]
) -> None:
    if not fitted.expected:
        with_label = len({example.case for example in fitted.examples})
        raise _too_few(
            model,
            f"{len(measured)} that were measured, with a label in {with_label} of them. Nothing "
            "was changed",
        )


def _provenance(
    dataset: Dataset, measured: Mapping[str, MeasuredCase], wanted: Wanted
) -> dict[str, Any]:
    """Return when and on what the entries were fitted; ids may name patients and are left out."""
    return {
        CALIBRATED_KEY: {
            "dataset": dataset.name,
            "hash": dataset.content_hash(),
            "cases": len(measured),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **({"unseen": "as the user said"} if wanted.unseen else {}),
        }
    }
