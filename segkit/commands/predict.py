"""segkit predict: segment scans with a trained model."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit import inference
from segkit.bundle.lookup import resolve_model
from segkit.commands.collector import collector_paused
from segkit.commands.predict_flags import parser
from segkit.dataset.groups import COLUMN, table_groups
from segkit.errors import SomeCasesFailed, UsageError, printable
from segkit.inference.files.finalize import FinalizeOptions
from segkit.inference.files.outputs import Extra
from segkit.inference.predict_files import predict_files
from segkit.inference.request import Files, Request, Shard, request_for
from segkit.labels.voxel_values import Temperatures
from segkit.plans.plan import Plan
from segkit.preprocessing.harmonization import planned_harmonization
from segkit.progress import ScanProgress
from segkit.quality.calibration import temperatures_of
from segkit.quality.entry import estimators_of
from segkit.units import parse_size

if TYPE_CHECKING:
    from segkit.bundle.bundle import Bundle
    from segkit.inference import Predictor

log = logging.getLogger(__name__)

_EXTRAS: dict[Extra, str] = {
    "preview": "preview",
    "uncertainty": "uncertainty",
    "probabilities": "probabilities",
    "record": "stats",
    "structures": "rtstruct",
}
"""Files beside a label map, and the flag that asks for each of them."""


def run(arguments: Sequence[str]) -> int:
    """Predict the scans that the command line names, print the outputs, return the exit code.

    Raises:
        SomeCasesFailed: some scans of many cannot be predicted.
    """
    given = parser().parse_intermixed_args(arguments)
    # Reading a model imports torch: --help and usage errors are answered without it.
    with collector_paused():
        bundles = read_models(resolve_model(given.model), "model")
    plan = inference.check_ensemble(bundles)
    coarse = _coarse_models(given)
    check_groups(given, [bundles[0], *coarse[:1]])
    options = _finalize_options(given, bundles, plan)
    _say_if_nothing_is_expected(given, bundles)
    request = request_for(_files(given), options, [*bundles, *coarse])
    predict_and_print(request, _predictor(given, bundles, coarse))
    return 0


def predict_and_print(request: Request, predictor: Predictor) -> None:
    """Predict the scans of a request and print the paths of their label maps.

    Raises:
        SomeCasesFailed: some scans of many cannot be predicted.
    """
    outcomes = []
    with ScanProgress(len(request.pending)) as progress:
        for outcome in predict_files(request, predictor, progress.of_scan):
            outcomes.append(outcome)
            if outcome.output:
                progress.wipe()
                print(printable(outcome.output), flush=True)
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    if failed:
        raise SomeCasesFailed(
            f"{failed} of {len(outcomes)} scans failed; {request.outcomes_file} says why"
        )


def read_models(path: Path, kind: str) -> list[Bundle]:
    """Read the models at a path, and log what they are."""
    bundles = inference.read_models(path)
    for bundle in bundles:
        log.info(
            "%s %s of %s, hash %s (%s)",
            kind,
            bundle.name,
            bundle.created,
            bundle.hash,
            bundle.path,
        )
    return bundles


def _coarse_models(given: argparse.Namespace) -> list[Bundle]:
    """Return the models of --locate; none without it."""
    if given.locate is None:
        return []
    if not given.locate:
        raise UsageError("--locate: the name of the coarse model is empty")
    return read_models(resolve_model(given.locate), "coarse model")


def _finalize_options(
    given: argparse.Namespace, bundles: Sequence[Bundle], plan: Plan
) -> FinalizeOptions:
    names = list(plan.labels)
    if given.roi is not None:
        names = [name.strip() for name in given.roi.split(",")]
    unknown = [repr(name) for name in names if name not in plan.labels]
    if unknown:
        raise UsageError(
            f"--roi {', '.join(unknown)}: the model's labels are {', '.join(plan.labels)}"
        )
    if given.probability_type and not given.probabilities:
        raise UsageError(
            f"--probability-type {given.probability_type} changes nothing without --probabilities"
        )
    return FinalizeOptions(
        {name: plan.labels[name] for name in names},
        given.remove_small_blobs,
        labelmap=given.labelmap,
        probabilities=given.probability_type or "uint8",
        temperatures=_temperatures(given, bundles, plan),
    )


def _temperatures(given: argparse.Namespace, bundles: Sequence[Bundle], plan: Plan) -> Temperatures:
    """Return the temperatures of --calibrated; None without it."""
    if not given.calibrated:
        return None
    if not (given.probabilities or given.uncertainty):
        raise UsageError("--calibrated changes nothing without --probabilities or --uncertainty")
    temperatures = temperatures_of([bundle.card for bundle in bundles], plan)
    if temperatures is None:
        which = "this model has" if len(bundles) == 1 else "one of these models has"
        raise UsageError(
            f"--calibrated: {which} no temperature, because its training had fewer than three "
            "validation cases or no time to fit one, or is of an earlier version of segkit; leave "
            f"it out, or fit one: {_calibration(given)}"
        )
    return temperatures


def _calibration(given: argparse.Namespace) -> str:
    """Return the command that fits expected Dice and temperatures of the model."""
    return shlex.join(["segkit", "calibrate", str(resolve_model(given.model))])


def _say_if_nothing_is_expected(given: argparse.Namespace, bundles: Sequence[Bundle]) -> None:
    """Log how to get the expected Dice that --stats has no figures of."""
    if given.stats and not estimators_of([bundle.card for bundle in bundles]):
        log.info("the model has no expected Dice; to fit it: %s", _calibration(given))


def _files(given: argparse.Namespace) -> Files:
    return Files(
        inputs=given.input,
        channel_files=given.channel or (),
        series=given.series,
        output=given.output,
        extras=[extra for extra, flag in _EXTRAS.items() if getattr(given, flag)],
        dicom_seg=given.dicom_seg,
        existing=given.existing,
        shard=_shard(given.shard),
        groups=_groups(given),
    )


def check_groups(given: argparse.Namespace, models: Sequence[Bundle]) -> None:
    """Check that the flags about groups have an effect.

    Args:
        given: the flags.
        models: the model, and the coarse model, if any.

    Raises:
        UsageError: no model has groups, or flags contradict each other.
        InputError: a number in a harmonization cannot be used.
    """
    if given.group is not None and given.groups is not None:
        raise UsageError("give --group NAME for all scans, or --groups FILE, not both")
    if given.column is not None and given.groups is None:
        raise UsageError("--column names a column of the file of --groups: add it, or leave it out")
    if given.group == "":
        raise UsageError("--group: the name of the group is empty; leave it out if it is unknown")
    fits = [fit for bundle in models if (fit := planned_harmonization(bundle.plan, bundle.path))]
    wanted = [flag for flag in ("group", "groups", "strict") if getattr(given, flag)]
    if wanted and not any(fit.scans for fit in fits):
        what = "has no harmonization" if not fits else "has a harmonization without groups"
        raise UsageError(f"--{wanted[0]} changes nothing: this model {what}")


def _groups(given: argparse.Namespace) -> dict[str, str] | str | None:
    if given.groups is not None:
        return table_groups(given.groups, given.column or COLUMN)
    return given.group or None


def _shard(text: str | None) -> Shard | None:
    """Return the part I/N of the scans; None for all of them."""
    if text is None:
        return None
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UsageError(f"--shard {text}: write I/N with 1 <= I <= N, such as 1/4")
    return Shard(int(number), int(count), text)


def _predictor(
    given: argparse.Namespace, bundles: Sequence[Bundle], coarse: Sequence[Bundle]
) -> Predictor:
    return inference.Predictor(
        bundles,
        device=given.device,
        precision=given.precision,
        engine=given.engine,
        overlap=given.overlap,
        tta=given.tta,
        threads=given.threads,
        fast=given.fast,
        max_memory=parse_size(given.max_memory) if given.max_memory else None,
        count_mismatch=given.stats,
        locate=coarse or None,
        strict=given.strict,
    )
