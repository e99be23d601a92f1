"""From files to files: one scan, or many of which some may fail."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.errors import SegkitError, UsageError, printable
from segkit.files.atomic import write_text
from segkit.files.names import DICOM, suffix_of
from segkit.inference.files.dicom_outputs import (
    check_dicom_output,
    warn_of_modality,
    warn_of_uneven_slices,
    write_segments,
    write_structures,
)
from segkit.inference.files.finalize import Finish, bytes_after, finished
from segkit.inference.files.label_statistics import label_figures
from segkit.inference.files.outputs import Job
from segkit.inference.files.probability_file import say_size, write_probabilities
from segkit.inference.files.provenance import remove_record, run_record
from segkit.inference.prediction import Prediction, Wanted
from segkit.io import check_labels_fit, write_image, write_labels
from segkit.labels.codes import colors_of
from segkit.progress import WindowProgress
from segkit.report.preview import write_preview
from segkit.volume import Volume

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How one scan of many went; a line of predictions.json."""

    case: str
    status: str
    """done, failed, or skipped because its output was there."""
    message: str = ""
    seconds: float = 0.0
    output: str = field(default="")
    notes: tuple[str, ...] = ()
    """Sentences on what a user should know of a scan that is done, such as files that were left out."""


def predict_job(
    predictor: Predictor, job: Job, finish: Finish, progress: WindowProgress | None = None
) -> None:
    """Read, predict and write one scan.

    Raises:
        InputError: as `Predictor.predict`; a place or format that the label map cannot be written to; or figures of
            a label that cannot be computed.
        OutOfMemoryError: as `Predictor.predict`.
    """
    started = time.perf_counter()
    scan = job.scan.read()
    check_labels_fit(job.output, scan.grid.shape, finish.labels.values())
    check_dicom_output(job, predictor.plan, finish.labels, labelmap=finish.labelmap)
    read = time.perf_counter() - started
    place = job.scan.where
    warn_of_modality(job.scan, predictor.plan)
    warn_of_uneven_slices(job)
    wanted = _wanted(job, finish)
    say_size(job, predictor.plan, scan.grid, finish.probabilities)
    after = bytes_after(predictor.plan, job, finish, scan.grid.voxels)
    prediction = predictor.prediction(scan, wanted, where=place, progress=progress, after=after)
    prediction = dataclasses.replace(
        prediction, labels=finished(prediction.labels, predictor.plan, finish)
    )
    figures = _figures(predictor, job, finish, scan, prediction) if "record" in job.extras else {}
    written = time.perf_counter()
    _write_beside(predictor, job, finish, scan, prediction)
    for path in job.records:
        remove_record(path)
    # The label map last: a run that is killed in between leaves none that lacks what goes beside it.
    if suffix_of(job.output) == DICOM:
        write_segments(job, prediction.labels, predictor, finish.labels, labelmap=finish.labelmap)
    else:
        write_labels(job.output, prediction.labels, like=place, names=finish.labels)
    if "record" in job.extras:
        seconds = {"read": read, **prediction.seconds, "write": time.perf_counter() - written}
        write_text(
            job.record,
            json.dumps(_record(predictor, job, prediction, seconds, figures), indent=2) + "\n",
        )


def _record(
    predictor: Predictor,
    job: Job,
    prediction: Prediction,
    seconds: Mapping[str, float],
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    record = run_record(predictor, job.scan.files, seconds, box=prediction.box)
    record["channels_left_out"] = [channel.name for channel in job.scan.missing]
    record["tile_mismatch"] = prediction.tile_mismatch
    record |= {"notes": list(job.scan.notes)} if job.scan.notes else {}
    record |= {"series": job.scan.series} if job.scan.series else {}
    record["scan_warnings"] = list(prediction.scan_warnings)
    record["labels"] = dict(figures)
    regions = {
        name: list(values) for name, values in predictor.plan.regions.items() if name in figures
    }
    record |= {"regions": regions} if regions else {}
    return record


def _wanted(job: Job, finish: Finish) -> Wanted:
    kind = finish.probabilities if "probabilities" in job.extras else None
    return Wanted("uncertainty" in job.extras, kind, scratch=job.output.parent)


def _write_beside(
    predictor: Predictor, job: Job, finish: Finish, scan: Volume, prediction: Prediction
) -> None:
    """Write what goes beside the label map, except for the record."""
    if "preview" in job.extras:
        colors = colors_of(predictor.plan.labels, predictor.plan.segments)
        write_preview(job.preview, scan, prediction.labels, finish.labels, colors=colors)
    if prediction.uncertainty is not None:
        write_image(job.uncertainty, prediction.uncertainty, like=job.scan.where)
    if prediction.probabilities is not None:
        write_probabilities(job, prediction, predictor.plan, finish.probabilities)
    if "structures" in job.extras:
        write_structures(job, prediction.labels, predictor, finish.labels)


def _figures(
    predictor: Predictor, job: Job, finish: Finish, scan: Volume, prediction: Prediction
) -> dict[str, Any]:
    """Return those of each label; a channel that the scan lacks has no intensities."""
    lacking = [channel.name for channel in job.scan.missing]
    names = [channel.name for channel in predictor.plan.channels]
    figures = label_figures(
        prediction.labels,
        finish.labels,
        predictor.plan.regions,
        channels={
            name: voxels
            for name, voxels in zip(names, scan.array, strict=True)
            if name not in lacking
        },
        uncertainty=None if prediction.uncertainty is None else prediction.uncertainty.array[0],
        where=job.scan.where,
    )
    return {
        name: {**label, "warning": prediction.label_warnings.get(name, "")}
        for name, label in figures.items()
    }


def predict_jobs(
    predictor: Predictor,
    jobs: Sequence[Job],
    finish: Finish,
    progress: Callable[[int], WindowProgress] | None = None,
) -> Iterator[Outcome]:
    """Predict one scan after the other; one that fails is reported and the rest go on.

    ``progress`` makes the progress of the scan with this index.
    """
    for index, job in enumerate(jobs):
        yield _attempt(predictor, job, finish, progress(index) if progress else None)


def skipped(job: Job) -> Outcome:
    """The outcome of a scan whose output was there."""
    return Outcome(job.scan.id, "skipped", "the output was there", output=str(job.output))


def read_outcomes(path: Path) -> dict[str, Any]:
    """The content of a predictions.json of earlier scans, which the next ones are added to; empty without one.

    Raises:
        UsageError: another file of that name.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    cases = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(case, dict) and "status" in case for case in cases):
        raise UsageError(
            f"{path} is there and no record of predictions; move it, or choose another folder with -o"
        )
    return dict(content)


def write_outcomes(path: Path, earlier: Mapping[str, Any], outcomes: Sequence[Outcome]) -> None:
    """predictions.json: per case its status, message, seconds and output; those of ``earlier`` scans stay."""
    content = dict(earlier) | {outcome.case: _without_case(outcome) for outcome in outcomes}
    # ASCII: the name of a file need not be one that UTF-8 can say.
    write_text(path, json.dumps(content, indent=2) + "\n")


def _without_case(outcome: Outcome) -> dict[str, Any]:
    kept = {key: value for key, value in dataclasses.asdict(outcome).items() if key != "case"}
    if not outcome.notes:
        del kept["notes"]
    return kept


def _attempt(
    predictor: Predictor, job: Job, finish: Finish, progress: WindowProgress | None
) -> Outcome:
    started = time.perf_counter()
    try:
        predict_job(predictor, job, finish, progress)
    except SegkitError as error:
        message = str(error)
    except Exception as error:  # whatever one scan brings up, the others of a night's work go on
        log.debug("unexpected", exc_info=True)
        message = (
            f"{printable(str(job.scan.where))}: this scan cannot be predicted ({type(error).__name__}: {error}). It is "
            "damaged in a way that segkit does not know, or segkit has a bug: please report it"
        )
    else:
        notes = job.scan.notes
        return Outcome(
            job.scan.id, "done", seconds=_since(started), output=str(job.output), notes=notes
        )
    log.error("%s", message)
    return Outcome(job.scan.id, "failed", message, _since(started))


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
