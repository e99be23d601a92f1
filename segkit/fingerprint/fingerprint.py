"""Measure a dataset, as the basis of its plan.

The sampled voxels of a case depend only on its index in the dataset.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.dataset.dataset import Dataset
from segkit.errors import InputError
from segkit.fingerprint.case_facts import CaseFacts, MeasuredCase, case_warnings, measure_case
from segkit.plans.rules import LABEL_VALUES
from segkit.progress import CaseProgress
from segkit.volume import Unit

log = logging.getLogger(__name__)

SAMPLES = 2_000_000
"""Number of labeled voxels sampled from the dataset, with replacement, equally from all cases."""
THREADS = 2


@dataclass(frozen=True)
class Intensity:
    """Statistics of one channel over the labeled voxels, with equal weight for all cases."""

    minimum: float
    lower: float
    """0.5th percentile."""
    median: float
    mean: float
    upper: float
    """99.5th percentile."""
    maximum: float
    std: float


@dataclass(frozen=True)
class Fingerprint:
    """Measurements of a dataset; `dataclasses.asdict` gives JSON types."""

    unit: Unit
    """Unit of all lengths."""
    cases: tuple[CaseFacts, ...]
    intensities: tuple[Intensity, ...]
    """Intensity statistics of each channel."""


def measure(dataset: Dataset, progress: CaseProgress | None = None) -> Fingerprint:
    """Read every case of a dataset once and return its fingerprint.

    Args:
        dataset: the dataset, with the names of its channels and labels.
        progress: called after each case.

    Raises:
        InputError: a case cannot be used, there is none, or no case has labeled voxels.
    """
    draws = max(1, SAMPLES // max(1, len(dataset.cases)))
    measured: list[MeasuredCase] = []
    # Decompression and numpy release the interpreter lock, so threads are enough.
    pool = ThreadPoolExecutor(THREADS)
    try:
        jobs = [
            pool.submit(measure_case, case, dataset, number, draws)
            for number, case in enumerate(dataset.cases)
        ]
        for job in jobs:
            measured.append(job.result())
            facts = measured[-1].facts
            log_case_warnings(facts)
            if progress:
                progress(len(measured), len(jobs), facts.id)
    finally:
        # After an error, do not read the cases that are still waiting.
        pool.shutdown(cancel_futures=True)
    return summarize(dataset, measured)


def log_case_warnings(facts: CaseFacts) -> None:
    """Log the warnings about a case."""
    for warning in case_warnings(facts).values():
        log.warning("%s: %s", facts.id, warning)


def summarize(dataset: Dataset, measured: Sequence[MeasuredCase]) -> Fingerprint:
    """Return the fingerprint of measured cases.

    Raises:
        InputError: there is no case or no labeled voxel, a label map cannot hold the label values,
            or only some of the scans have a voxel size.
    """
    _check_label_values(dataset)
    if not measured:
        raise InputError(
            dataset.root,
            expected="at least one case",
            found="none",
            remedy="Compare the folder with the layouts in the README.",
        )
    unit = _common_unit(measured)
    samples = np.concatenate([case.samples for case in measured], axis=1)
    if not samples.shape[1]:
        names = ", ".join(f"{name} {value}" for name, value in dataset.labels.items())
        raise InputError(
            dataset.root,
            expected=f"voxels of the labels {names}",
            found="none in any case",
            remedy="Check the label maps and the label values.",
        )
    intensities = tuple(_intensity(values) for values in samples)
    return Fingerprint(unit, tuple(case.facts for case in measured), intensities)


def _common_unit(measured: Sequence[MeasuredCase]) -> Unit:
    """Return the unit of all cases, and raise an InputError if they differ."""
    unit = measured[0].unit
    for case in measured:
        if case.unit != unit:
            raise InputError(
                case.facts.id,
                expected=f"{unit}, as in the first case",
                found=case.unit,
                remedy="Train separate models for scans with and without a voxel size.",
            )
    return unit


def _check_label_values(dataset: Dataset) -> None:
    """Refuse label values that a prediction could not write, before training starts."""
    invalid = [
        f"{name} = {value}" for name, value in dataset.labels.items() if value not in LABEL_VALUES
    ]
    if invalid:
        raise InputError(
            dataset.root,
            expected=f"label values from {LABEL_VALUES[0]} to {LABEL_VALUES[-1]}, which label maps"
            " can hold",
            found=", ".join(invalid),
            remedy="Give these labels smaller values in the label maps.",
        )


def _intensity(values: NDArray[np.float32]) -> Intensity:
    exact = values.astype(np.float64)
    minimum, lower, median, upper, maximum = np.percentile(exact, (0, 0.5, 50, 99.5, 100))
    return Intensity(
        minimum=float(minimum),
        lower=float(lower),
        median=float(median),
        mean=float(exact.mean()),
        upper=float(upper),
        maximum=float(maximum),
        std=float(exact.std()),
    )
