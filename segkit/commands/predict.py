"""segkit predict: scans in, label maps out."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit import inference
from segkit.bundle.lookup import resolve_model
from segkit.commands.predict_flags import parser
from segkit.errors import SomeCasesFailed, UsageError, printable
from segkit.files.names import DICOM, suffix_of
from segkit.inference.files.channels import ModelChannels, model_channels
from segkit.inference.files.finalize import Finish
from segkit.inference.files.inputs import find_scans, is_many, scan_of_channels
from segkit.inference.files.outputs import Extra, Job, check_jobs, plan_jobs
from segkit.inference.files.scan import Scan
from segkit.inference.files.statistics_table import check_stats, is_stats, write_stats
from segkit.inference.predict_files import (
    Outcome,
    predict_job,
    predict_jobs,
    read_outcomes,
    skipped,
    write_outcomes,
)
from segkit.plans.plan import Plan
from segkit.progress import ScanProgress
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
"""What goes beside a label map, and the flag that asks for it."""


def run(arguments: Sequence[str]) -> int:
    """Parse, predict, write; returns the exit code."""
    given = parser().parse_intermixed_args(arguments)
    # Torch is imported here: --help and words that make no sense are answered without.
    bundles = inference.read_models(resolve_model(given.model))
    for bundle in bundles:
        log.info(
            "model %s of %s, hash %s (%s)", bundle.name, bundle.created, bundle.hash, bundle.path
        )
    plan = inference.check_ensemble(bundles)
    coarse = _coarse(given)
    finish = _finish(given, plan)
    many = not given.channel and is_many(given.input, given.series)
    jobs = _jobs(given, [*bundles, *coarse], many)
    done = [job for job in jobs if given.existing == "continue" and job.done]
    pending = [job for job in jobs if job not in done]
    for job in done:
        _leave(job)
    predictor = _predictor(given, bundles, coarse)
    if many:
        record = Path(given.output or "") / _name("predictions.json", given.shard)
        table = record.with_name(_name("stats.csv", given.shard))
        # Without --stats, too, a table that is there must not have the figures of label maps that are replaced.
        stats = table if given.stats or is_stats(table) else None
        outcomes = [skipped(job) for job in done]
        _predict_many(predictor, pending, finish, outcomes=outcomes, record=record, stats=stats)
    else:
        _predict_one(predictor, pending, finish)
    return 0


def _leave(job: Job) -> None:
    """Say that a finished label map stays as it is, and what it lacks of what was asked for."""
    print(printable(str(job.output)))
    if job.missing:
        names = " and ".join(path.name for path in job.missing)
        log.warning(
            "%s is left as it is, without %s; --overwrite predicts it anew", job.output, names
        )


def _jobs(given: argparse.Namespace, bundles: Sequence[Bundle], many: bool) -> list[Job]:
    jobs = plan_jobs(
        _scans(given, model_channels(bundles)),
        given.output,
        many=many,
        unit=bundles[0].plan.unit,
        extras=[extra for extra, wanted in _EXTRAS.items() if getattr(given, wanted)],
        dicom=given.dicom_seg,
    )
    if given.labelmap and not any(suffix_of(job.output) == DICOM for job in jobs):
        raise UsageError(
            "--labelmap is about DICOM-SEG, and none is written; give --dicom-seg, or name it with -o x.dcm"
        )
    check_jobs(jobs[_shard(given.shard)], given.existing)
    return jobs[_shard(given.shard)]


def _predict_one(predictor: Predictor, jobs: Sequence[Job], finish: Finish) -> None:
    for job in jobs:
        with ScanProgress(1) as progress:
            predict_job(predictor, job, finish, progress.of_scan(0))
        print(printable(str(job.output)))


def _predict_many(
    predictor: Predictor,
    jobs: Sequence[Job],
    finish: Finish,
    *,
    outcomes: list[Outcome],
    record: Path,
    stats: Path | None,
) -> None:
    """``outcomes`` of what was done before come first in predictions.json, which is rewritten after every scan."""
    earlier = read_outcomes(record)
    if stats:
        check_stats(stats)
    write_outcomes(record, earlier, outcomes)
    with ScanProgress(len(jobs)) as progress:
        for outcome in predict_jobs(predictor, jobs, finish, progress.of_scan):
            outcomes.append(outcome)
            write_outcomes(record, earlier, outcomes)
            if outcome.output:
                print(printable(outcome.output), flush=True)
    if stats:
        write_stats(stats, read_outcomes(record))
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    if failed:
        raise SomeCasesFailed(f"{failed} of {len(outcomes)} scans failed; {record} says why")


def _coarse(given: argparse.Namespace) -> list[Bundle]:
    """The models of --locate; none without it."""
    if given.locate is None:
        return []
    if not given.locate:
        raise UsageError("--locate: the name of the coarse model is empty")
    bundles = inference.read_models(resolve_model(given.locate))
    for bundle in bundles:
        log.info(
            "coarse model %s of %s, hash %s (%s)",
            bundle.name,
            bundle.created,
            bundle.hash,
            bundle.path,
        )
    return bundles


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
    )


def _scans(given: argparse.Namespace, channels: ModelChannels) -> list[Scan]:
    if given.channel and given.input:
        raise UsageError("give either scans or --channel NAME=FILE, not both")
    if given.channel:
        if given.series:
            raise UsageError(
                "--series chooses among the series of one place; with --channel, give the folder of each"
            )
        return [scan_of_channels(given.channel, channels)]
    if not given.input:
        raise UsageError("no scan was given; 'segkit predict --help' shows how")
    return find_scans(given.input, channels, given.series)


def _finish(given: argparse.Namespace, plan: Plan) -> Finish:
    names = (
        list(plan.labels) if given.roi is None else [name.strip() for name in given.roi.split(",")]
    )
    unknown = [repr(name) for name in names if name not in plan.labels]
    if unknown:
        raise UsageError(
            f"--roi {', '.join(unknown)}: the model's labels are {', '.join(plan.labels)}"
        )
    if given.probability_type and not given.probabilities:
        raise UsageError(
            f"--probability-type {given.probability_type} changes nothing without --probabilities"
        )
    return Finish(
        {name: plan.labels[name] for name in names},
        given.remove_small_blobs,
        labelmap=given.labelmap,
        probabilities=given.probability_type or "uint8",
    )


def _shard(text: str | None) -> slice:
    """``2/4`` is the second of four parts: every fourth scan from the second on."""
    if text is None:
        return slice(None)
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise UsageError(f"--shard {text}: write I/N with 1 <= I <= N, such as 1/4")
    return slice(int(part) - 1, None, int(parts))


def _name(file: str, shard: str | None) -> str:
    """Each part of a list has files of its own.

    >>> _name("stats.csv", "1/4")
    'stats-1-of-4.csv'
    """
    stem, _, suffix = file.partition(".")
    return f"{stem}-{shard.replace('/', '-of-')}.{suffix}" if shard else file
