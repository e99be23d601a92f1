"""Facts about a training for the card of its model: patients, groups, intervals, machine, versions.

No fact names a case or a patient, because a model may be shared.
"""

from __future__ import annotations

import os
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.groups import groups_of_several_patients
from segkit.evaluation.intervals import SHARE, mean_interval
from segkit.evaluation.summary import Row
from segkit.machine.processor import processor_name

PACKAGES = ("torch", "lightning", "numpy")
"""Packages whose versions are recorded, besides that of segkit."""


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """Return name, hash of the content and, if the dataset states one, license."""
    facts = {"name": dataset.name, "hash": dataset.content_hash()}
    return {**facts, **({"license": dataset.license} if dataset.license else {})}


def group_facts(cases: Sequence[Case]) -> dict[str, Any]:
    """Return the number of cases of each group (site, scanner, protocol), under ``groups``.

    A group of a single patient is counted under ``unnamed_groups`` and not named: its name may be
    that of the patient. Without groups the result is empty.

    >>> cases = [Case("a", (), group="Site 1"), Case("b", (), group="Site 1"), Case("c", ())]
    >>> group_facts(cases)
    {'groups': {'Site 1': 2}}
    """
    counts = Counter(case.group for case in cases if case.group)
    named = {name: counts[name] for name in sorted(groups_of_several_patients(cases))}
    unnamed = len(counts) - len(named)
    return {
        **({"groups": named} if named else {}),
        **({"unnamed_groups": unnamed} if unnamed else {}),
    }


def patient_count(cases: Sequence[Case]) -> int | None:
    """Return the number of patients; None if the dataset names no patient of these cases.

    A case without a patient counts as a patient of its own where others have one.

    >>> patient_count([Case("a", (), patient="x"), Case("b", (), patient="x"), Case("c", ())])
    2
    """
    if not any(case.patient for case in cases):
        return None
    return len({case.patient or case.id for case in cases})


def dice_by_label(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Return the Dice by label and case among the rows of an evaluation."""
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.metric == "dice":
            values[row.label][row.case] = row.value
    return dict(values)


def dice_intervals(
    values: Mapping[str, Mapping[str, float]], cases: Sequence[Case] = ()
) -> dict[str, Any]:
    """Return number of cases and 95 % interval of the mean Dice of each label.

    The interval is that of `segkit.evaluation.intervals.mean_interval`, over patients where cases
    share one, whose number is then under ``patients``. A single case or patient has none.

    >>> dice_intervals({"liver": {"a": 0.5, "b": 0.5}, "spleen": {"a": 0.5}})
    {'liver': {'cases': 2, 'low': 0.5, 'high': 0.5}, 'spleen': {'cases': 1}}

    Args:
        values: Dice of each case that has the label, by label and case.
        cases: the cases, for their patients.
    """
    patients = {case.id: case.patient for case in cases if case.patient}
    return {name: _interval(dice, patients) for name, dice in values.items() if dice}


def _interval(dice: Mapping[str, float], patients: Mapping[str, str]) -> dict[str, Any]:
    facts: dict[str, Any] = {"cases": len(dice)}
    values = {(case, 0): value for case, value in dice.items()}
    found = mean_interval(values, limits=SHARE, patients=patients)
    if found is None:
        return facts
    if found.cases < len(dice):
        facts["patients"] = found.cases
    if found.ends is None:
        return facts
    low, high = found.ends
    return {**facts, "low": round(low, 4), "high": round(high, 4)}


def machine_facts(device: torch.device, processes: int = 1) -> dict[str, Any]:
    """Return kind and model of the processors and the system, without the name of the machine.

    Args:
        device: where the training runs.
        processes: number of processes of the training.
    """
    is_gpu = device.type == "cuda"
    return {
        "device": device.type,
        "processor": torch.cuda.get_device_name(device) if is_gpu else processor_name(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "processes": processes,
        "system": platform.system(),
    }


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of `PACKAGES`."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
