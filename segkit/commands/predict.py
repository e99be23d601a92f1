"""segkit predict: scans in, label maps out."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segkit import inference
from segkit.commands.scan_progress import ScanProgress
from segkit.errors import SomeCasesFailed, UsageError, printable
from segkit.file_names import DICOM, suffix_of
from segkit.inference.batch import Outcome, predict_job, predict_jobs, read_outcomes, skipped, write_outcomes
from segkit.inference.channels import ModelChannels, model_channels
from segkit.inference.finish import Finish
from segkit.inference.inputs import find_scans, is_many, scan_of_channels
from segkit.inference.outputs import Extra, Job, check_jobs, plan_jobs
from segkit.inference.scan import Scan
from segkit.inference.stats_table import check_stats, is_stats, write_stats
from segkit.memory import parse_size
from segkit.model_names import resolve_model
from segkit.plans import Plan

if TYPE_CHECKING:
    from segkit.bundle import Bundle
    from segkit.inference import Predictor

log = logging.getLogger(__name__)

_EXTRAS: dict[Extra, str] = {
    "preview": "preview",
    "uncertainty": "uncertainty",
    "record": "stats",
    "structures": "rtstruct",
}
"""What goes beside a label map, and the flag that asks for it."""


def run(arguments: Sequence[str]) -> int:
    """Parse, predict, write; returns the exit code."""
    given = _parser().parse_intermixed_args(arguments)
    # Torch is imported here: --help and words that make no sense are answered without.
    bundles = inference.read_models(resolve_model(given.model))
    for bundle in bundles:
        log.info("model %s of %s, hash %s (%s)", bundle.name, bundle.created, bundle.hash, bundle.path)
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
        log.warning("%s is left as it is, without %s; --overwrite predicts it anew", job.output, names)


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
        log.info("coarse model %s of %s, hash %s (%s)", bundle.name, bundle.created, bundle.hash, bundle.path)
    return bundles


def _predictor(given: argparse.Namespace, bundles: Sequence[Bundle], coarse: Sequence[Bundle]) -> Predictor:
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
            raise UsageError("--series chooses among the series of one place; with --channel, give the folder of each")
        return [scan_of_channels(given.channel, channels)]
    if not given.input:
        raise UsageError("no scan was given; 'segkit predict --help' shows how")
    return find_scans(given.input, channels, given.series)


def _finish(given: argparse.Namespace, plan: Plan) -> Finish:
    names = list(plan.labels) if given.roi is None else [name.strip() for name in given.roi.split(",")]
    unknown = [repr(name) for name in names if name not in plan.labels]
    if unknown:
        raise UsageError(f"--roi {', '.join(unknown)}: the model's labels are {', '.join(plan.labels)}")
    return Finish({name: plan.labels[name] for name in names}, given.remove_small_blobs, given.labelmap)


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


def _path(text: str) -> Path:
    # An unset variable of a script must not stand for the current folder.
    if not text:
        raise argparse.ArgumentTypeError("the name of a scan is empty")
    return Path(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0 and below 1")
    return number


def _volume(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a volume")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segkit predict",
        description="Segment scans with a trained model. Label maps lie on the scans' own grids.",
        epilog="Paths of label maps go to standard output, progress to standard error.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "input",
        metavar="INPUT",
        nargs="*",
        type=_path,
        help="a scan, several scans, a folder of scans or studies, a DICOM folder or zip, or a CSV file",
    )
    parser.add_argument("-o", "--output", metavar="OUT", help="file for one scan, folder for many")
    parser.add_argument(
        "-m", "--model", metavar="MODEL", help="bundle, run folder, .segkit file, folder of several, name"
    )
    parser.add_argument(
        "--channel", metavar="NAME=FILE", nargs="+", action="extend", help="one scan, a file per channel"
    )
    parser.add_argument(
        "--series", metavar="N|UID|NAME|all", help="which series of DICOM, or images of it (3:echo=2); all: each series"
    )
    _add_computing(parser)
    _add_results(parser)
    return parser


def _add_computing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("computing")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
    group.add_argument("--threads", metavar="N", type=_positive, help="CPU threads")
    group.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16 (auto)")
    group.add_argument(
        "--engine", default="torch", help="auto, torch or openvino, which needs its extra and computes on a CPU (torch)"
    )
    group.add_argument("--overlap", metavar="SHARE", type=_share, default=0.5, help="of neighbouring windows (0.5)")
    group.add_argument("--tta", action="store_true", help="average over mirrored windows, where the model allows it")
    group.add_argument("--fast", action="store_true", help="overlap 0.25 and no mirroring: sooner, a little less exact")
    group.add_argument(
        "--locate", metavar="MODEL", help="a coarse model of the same labels: it finds the box to compute in"
    )
    group.add_argument("--max-memory", metavar="SIZE", help="of the process, such as 4GB: changes how, not what")
    group.add_argument("--shard", metavar="I/N", help="take the I-th of N parts of the scans")


def _add_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument("--preview", action="store_true", help="also a PNG with outlines, OUT_preview.png")
    group.add_argument("--uncertainty", action="store_true", help="also a map of each voxel's, OUT_uncertainty")
    group.add_argument(
        "--stats",
        action="store_true",
        help="also figures of each label and the run record, OUT.json; of many, stats.csv",
    )
    group.add_argument("--rtstruct", action="store_true", help="also an RT Structure Set of DICOM, OUT_rtstruct.dcm")
    group.add_argument("--dicom-seg", action="store_true", help="label maps of DICOM as DICOM-SEG, as -o x.dcm does")
    group.add_argument("--labelmap", action="store_true", help="DICOM-SEG as the newer kind LABELMAP, not BINARY")
    group.add_argument("--roi", metavar="LABEL,...", help="keep these labels only")
    group.add_argument(
        "--remove-small-blobs", metavar="MM3", type=_volume, default=0.0, help="drop pieces below this volume"
    )
    existing = group.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite",
        dest="existing",
        action="store_const",
        const="overwrite",
        default="refuse",
        help="replace outputs",
    )
    existing.add_argument(
        "--continue", dest="existing", action="store_const", const="continue", help="skip what is done"
    )
