"""Harmonization of a plan: fitted to the training cases, read from a file, or that of a model."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from segkit.config.schema import TrainConfig
from segkit.dataset.case_files import case_scan
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.groups import DICOM, INTENSITIES, members_of_groups
from segkit.dataset.split import split_cases
from segkit.errors import InputError, UsageError
from segkit.harmonization.fit import fit
from segkit.harmonization.methods import METHODS
from segkit.harmonization.model import USUAL_TAGS, Harmonization, cases_hash
from segkit.harmonization.model_file import harmonization_of, read_harmonization
from segkit.harmonization.values import ChannelValues
from segkit.plans.plan import ChannelPlan, Plan
from segkit.preprocessing.content_hash import content_hash
from segkit.preprocessing.content_values import channel_values
from segkit.progress import CaseCounter

log = logging.getLogger(__name__)

NONE = "none"
"""Value of plan.harmonization that leaves out the harmonization of the model to start from."""
FIT_ANEW = (
    "Let the training fit it to its own cases with plan.harmonization=METHOD "
    f"({', '.join(METHODS)}), or fit it for this fold with 'segkit harmonize fit --fold N'."
)


def harmonized_plan(
    plan: Plan, dataset: Dataset, config: TrainConfig, *, model: Plan | None = None
) -> Plan:
    """Return the plan with the harmonization that the settings ask for.

    Scans of validation cases are not read: nothing of them is in the result.

    Args:
        plan: the plan without harmonization.
        dataset: the cases; those with the same voxels are one patient.
        config: settings of the training.
        model: plan of the model that the training starts from.

    Raises:
        UsageError: a fold that the dataset does not have, or neither a method nor a file.
        InputError: a scan or a file that cannot be used, or a file that was fitted to other cases
            than the training cases of this fold.
    """
    wanted = config.plan.harmonization
    if wanted == NONE:
        return plan
    if wanted is None:
        return _as_in_model(plan, model) if model and model.harmonization else plan
    training = split_cases(dataset, config.fold, config.folds).training
    if wanted in METHODS:
        return with_harmonization(plan, _fitted(wanted, dataset, training, config))
    if not Path(wanted).exists():
        raise UsageError(
            f"plan.harmonization={wanted}: neither a method ({', '.join(METHODS)}) nor a file that "
            "exists"
        )
    harmonization = read_harmonization(wanted)
    planned = with_harmonization(plan, harmonization, where=wanted)
    check_cases(planned, training, wanted)
    return planned


def check_cases(
    plan: Plan,
    training: Sequence[Case],
    where: str | Path,
    *,
    model: Plan | None = None,
    remedy: str = FIT_ANEW,
) -> None:
    """Check that the harmonization of a plan was fitted to the training cases, and no others.

    Their images and their groups must be those of the fit, too. That of the ``model`` to start from
    is accepted as well.

    Args:
        plan: the plan.
        training: the training cases with their groups.
        where: file of the plan or of the harmonization, for messages.
        model: plan of the model that the training starts from.
        remedy: what the message says to do.

    Raises:
        InputError: other cases, such as those of another fold (a validation case in the fit would
            make the validation too good), other images, or other groups.
    """
    if plan.harmonization is None or (model and plan.harmonization == model.harmonization):
        return
    harmonization = harmonization_of(plan.harmonization, where)
    found = _difference(harmonization, fitted_to(harmonization, training))
    if found:
        raise InputError(
            where,
            expected=f"a harmonization fitted to the {len(training)} training cases of this fold",
            found=found,
            remedy=remedy,
        )


def _difference(stored: Harmonization, now: Harmonization) -> str:
    """Return in words how the cases of a fit differ from those of the training; "" if not."""
    if not (stored.cases and stored.images):
        return "no record of its cases, images and groups"
    if stored.cases != now.cases:
        return "other cases, such as those of another fold"
    if stored.groups != now.groups:
        return (
            "other groups of these cases: the table of dataset.groups (or the column group of the "
            "dataset) was edited, or is not given"
        )
    return "other images of these cases" if stored.images != now.images else ""


def fitted_to(harmonization: Harmonization, training: Sequence[Case]) -> Harmonization:
    """Return the harmonization with a record of the training cases to which it was fitted.

    Only hashes are kept: over the ids, the bytes of the images, and the groups if a table gave
    them. Images of cases that have no group there are left out, as they are in the fit.
    """
    by_table = harmonization.grouping.source == "table"
    fitted = [case for case in training if case.group or not by_table]
    groups = (f"{case.id}\n{case.group}" for case in fitted)
    images = (f"{c.id}\n{content_hash(dataclasses.replace(c, label=None))}" for c in fitted)
    return dataclasses.replace(
        harmonization,
        cases=cases_hash(case.id for case in training),
        images=cases_hash(images),
        groups=cases_hash(groups) if by_table else "",
    )


def with_harmonization(
    plan: Plan, harmonization: Harmonization, *, where: str | Path = "plan"
) -> Plan:
    """Return the plan with a harmonization.

    CT values are no Hounsfield units any more, so their channels are normalized by z-scores.

    Raises:
        InputError: the harmonization is of other channels.
    """
    names = [channel.name for channel in plan.channels]
    found = [channel.name for channel in harmonization.channels]
    if names != found:
        raise InputError(
            where,
            expected=f"a harmonization of the channels {', '.join(names)}, in this order",
            found=", ".join(found),
            remedy="Fit it to this dataset: 'segkit harmonize fit DATASET -o FILE'.",
        )
    channels, reasons = zip(*map(_standardized, plan.channels), strict=True)
    changed = {
        f"channel {channel.name}": reason
        for channel, reason in zip(channels, reasons, strict=True)
        if reason
    }
    # As it is read back from plan.json, with lists in place of tuples.
    content = json.loads(json.dumps(harmonization.to_dict()))
    return dataclasses.replace(
        plan,
        channels=channels,
        harmonization=content,
        reasons={**plan.reasons, **changed, "harmonization": _reason(harmonization)},
    )


def _standardized(channel: ChannelPlan) -> tuple[ChannelPlan, str]:
    """Return the channel for harmonized values, and the reason if that changes it."""
    if channel.scheme != "ct":
        return channel, ""
    reason = "Harmonized values are no CT values: every scan is shifted and scaled to mean 0, sd 1."
    return ChannelPlan(channel.name, "zscore"), reason


def _reason(harmonization: Harmonization) -> str:
    groups = [f"{name} ({count})" for name, count in harmonization.scans.items()]
    source = {
        "none": "without groups",
        "table": "groups of the dataset",
        "dicom": "groups by DICOM attributes",
        "intensities": "groups found by their intensities",
    }[harmonization.grouping.source]
    shown = f": {', '.join(groups)}" if groups else ""
    return f"Fitted to the training cases, {source}{shown}."


def _as_in_model(plan: Plan, model: Plan) -> Plan:
    """Return the plan with the harmonization of the model to start from.

    Its weights expect it, whatever cases it was fitted to.
    """
    harmonization = harmonization_of(model.harmonization or {}, model.name)
    planned = with_harmonization(plan, harmonization, where=model.name)
    reason = f"As in the model to start from. {planned.reasons['harmonization']}"
    log.info("harmonization: %s", reason)
    return dataclasses.replace(planned, reasons={**planned.reasons, "harmonization": reason})


def _fitted(
    method: str, dataset: Dataset, training: Sequence[Case], config: TrainConfig
) -> Harmonization:
    """Return a method fitted to the training cases; groups are those of the dataset, or found."""
    source = _source(method, training, config)
    groups = None
    cases = list(training)
    if source in ("table", "dicom"):
        given = {case.id: case.group for case in training}
        cases = members_of_groups(training, given, config.dataset.groups)
        groups = [case.group for case in cases]
    values = measured_values(cases, dataset.channels)
    tags = USUAL_TAGS if source == "dicom" else ()
    model = fit(method, dataset.channels, values, groups, source=source, tags=tags)
    return fitted_to(model, training)


def _source(method: str, training: Sequence[Case], config: TrainConfig) -> str:
    """Return where the groups come from, as in `segkit.harmonization.model.Grouping`."""
    wanted = config.dataset.groups
    if not METHODS[method].needs_groups:
        return "none"
    if wanted == DICOM:
        return "dicom"
    # A table that names no group of a training case is refused, not replaced by the intensities.
    is_given = wanted is not None or any(case.group for case in training)
    return "table" if is_given and wanted != INTENSITIES else "intensities"


def measured_values(
    cases: Sequence[Case], channels: Sequence[str]
) -> list[tuple[ChannelValues, ...]]:
    """Return the values of the channels of each scan.

    Raises:
        InputError: a scan cannot be read or has another number of channels.
    """
    values = []
    with CaseCounter("measuring intensities") as counter:
        for number, case in enumerate(cases):
            scan = case_scan(case.images, unscaled=True)
            values.append(channel_values(scan, where=case.images[0]))
            if len(values[-1]) != len(channels):
                raise InputError(
                    case.images[0],
                    expected=f"the channels {', '.join(channels)}",
                    found=f"{len(values[-1])} channels",
                    remedy="Give every case the same channels.",
                )
            counter.show(number + 1, len(cases))
    return values
