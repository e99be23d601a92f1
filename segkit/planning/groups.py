"""The groups of a dataset, and folds that hold out whole groups, as the settings ask for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.groups import (
    DICOM,
    INTENSITIES,
    check_patients,
    folds_by_group,
    groups_of,
    groups_of_several_patients,
    require_listed,
    with_groups,
)
from segkit.errors import UsageError
from segkit.fingerprint.identical_images import copies_as_one_patient
from segkit.harmonization.methods import METHODS
from segkit.harmonization.model import USUAL_TAGS

log = logging.getLogger(__name__)


def with_groups_and_folds(dataset: Dataset, config: TrainConfig) -> Dataset:
    """Return the dataset with the groups of ``dataset.groups`` and the folds of ``folds_by``.

    Raises:
        UsageError: folds by groups that are not known before the training, more folds than
            groups, or groups that nothing uses.
        InputError: a table that cannot be used, a case without a group, or a patient in two folds.
    """
    source = config.dataset.groups
    _check_groups_are_used(config)
    if source == INTENSITIES:
        if config.folds_by:
            raise UsageError(
                "folds_by=group needs groups that are known before the training: write them with "
                "'segkit harmonize discover DATASET -o GROUPS.csv' and give "
                "dataset.groups=GROUPS.csv"
            )
        return with_groups(dataset, {})
    if source is not None:
        groups = groups_of(dataset.cases, source, config.dataset.group_column, USUAL_TAGS)
        if source != DICOM:
            require_listed(dataset.cases, groups, source)
        dataset = with_groups(dataset, groups)
    return folds_by_group(dataset, config.folds) if config.folds_by else dataset


def _check_groups_are_used(config: TrainConfig) -> None:
    method = METHODS.get(config.plan.harmonization or "")
    if config.dataset.groups and not config.folds_by and method and not method.needs_groups:
        raise UsageError(
            f"dataset.groups changes nothing with plan.harmonization={config.plan.harmonization}, "
            "which has no groups: leave it out"
        )


def patients_of(dataset: Dataset, copies: Sequence[Sequence[str]], config: TrainConfig) -> Dataset:
    """Return the dataset in which cases with the same voxels are one patient.

    Args:
        dataset: a dataset of `with_groups_and_folds`.
        copies: ids of cases with the same voxels.
        config: settings of the training.

    Raises:
        InputError: copies of a scan in two folds of ``folds_by``: one would train while the other
            validates.
    """
    patients = copies_as_one_patient(dataset, copies)
    if config.folds_by:
        check_patients(patients)
    return patients


def folds_reason(dataset: Dataset) -> str:
    """Return in words which group each fold holds out.

    Groups of a single patient are counted and not named: a name may be that of the patient, and the
    reasons of a plan are part of every model.

    Args:
        dataset: a dataset of `folds_by_group`.
    """
    group = {case.id: case.group for case in dataset.cases}
    shared = groups_of_several_patients(dataset.cases)
    parts = []
    for number, ids in enumerate(dataset.folds()):
        held_out = {group[case] for case in ids}
        named, others = sorted(held_out & shared), len(held_out - shared)
        named += [f"{others} group{'s' * (others > 1)} of a single patient"] if others else []
        parts.append(f"fold {number} holds out {', '.join(named)} ({len(ids)})")
    return f"Whole groups are held out: {'; '.join(parts)}."
