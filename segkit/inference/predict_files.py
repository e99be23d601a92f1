"""Predict from files to files: one scan, or many of which some may fail."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from segkit.errors import SegkitError, printable
from segkit.files.atomic import write_text
from segkit.files.names import DICOM, suffix_of
from segkit.inference.files.dicom_outputs import (
    check_dicom_output,
    other_modality,
    warn_of_uneven_slices,
    write_segments,
    write_structures,
)
from segkit.inference.files.finalize import FinalizeOptions, bytes_after, finalize
from segkit.inference.files.look_first import check_look_first, write_look_first
from segkit.inference.files.outcomes import Outcome, OutcomesFile, read_outcomes, skipped
from segkit.inference.files.outputs import Job
from segkit.inference.files.prediction_record import figures_of_labels, prediction_record
from segkit.inference.files.probability_file import log_size, write_probabilities
from segkit.inference.files.provenance import remove_record
from segkit.inference.files.scan import Scan
from segkit.inference.files.statistics_table import check_stats, write_stats
from segkit.inference.prediction import Prediction, Wanted, group_of_scan
from segkit.inference.request import Request
from segkit.io import check_labels_fit, write_image, write_labels
from segkit.labels.codes import colors_of
from segkit.progress import WindowProgress
from segkit.report.preview import write_preview
from segkit.volume import Volume

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor

log = logging.getLogger(__name__)


def predict_files(
    request: Request,
    predictor: Predictor,
    progress: Callable[[int], WindowProgress] | None = None,
) -> Iterator[Outcome]:
    """Predict the scans of a request one by one, write their files, and yield their outcomes.

    Scans that are skipped come first. After each scan predictions.json is written, and stats.csv
    after the last one, where the request names them.

    Args:
        request: scans, outputs and options.
        predictor: the model.
        progress: returns the callback for the windows of the scan with this index among those that
            are pending.

    Raises:
        UsageError: another file has the name of predictions.json, stats.csv or look_first.html.
        InputError: see `predict_job`; only where the request names no predictions.json.
        OutOfMemoryError: see `predict_job`; only where the request names no predictions.json.
    """
    file = OutcomesFile(request.outcomes_file) if request.outcomes_file else None
    if request.table:
        check_stats(request.table)
    if request.page:
        check_look_first(request.page)
    pending = request.pending
    outcomes = [_skipped(job) for job in request.skipped]
    if file:
        file.write(outcomes)
    yield from outcomes
    for index, job in enumerate(pending):
        window_progress = progress(index) if progress else None
        outcome = _outcome(request, predictor, job, window_progress)
        if file:
            file.write([outcome])
        yield outcome
    if request.table and request.outcomes_file:
        write_stats(request.table, read_outcomes(request.outcomes_file))
    if request.page and request.outcomes_file:
        cards = [model.card for model in predictor.bundles]
        write_look_first(request.page, read_outcomes(request.outcomes_file), cards)


def _skipped(job: Job) -> Outcome:
    """Return the outcome of a job that is skipped, and log which of its files are missing."""
    if job.missing:
        names = " and ".join(path.name for path in job.missing)
        log.warning(
            "%s is left as it is, without %s; --overwrite predicts it again", job.output, names
        )
    return skipped(job)


def _outcome(
    request: Request, predictor: Predictor, job: Job, progress: WindowProgress | None
) -> Outcome:
    """Predict one scan; an error becomes its outcome where the request has a file for outcomes."""
    start = time.perf_counter()
    try:
        harmonization = predict_job(predictor, job, request.options, progress).harmonization
    except SegkitError as error:
        if request.outcomes_file is None:
            raise
        message = str(error)
    except Exception as error:  # one scan must not end the work on all others
        if request.outcomes_file is None:
            raise
        log.debug("unexpected", exc_info=True)
        message = (
            f"{printable(str(job.scan.where))}: this scan cannot be predicted "
            f"({type(error).__name__}: {error}). It is damaged in a way that segkit does not know, "
            "or segkit has a bug: please report it"
        )
    else:
        seconds, output = _seconds_since(start), str(job.output)
        return Outcome(
            job.scan.id,
            "done",
            seconds=seconds,
            output=output,
            notes=(*job.scan.notes, *(harmonization.warnings if harmonization else ())),
            group=harmonization.group if harmonization else None,
        )
    log.error("%s", message)
    return Outcome(job.scan.id, "failed", message, _seconds_since(start))


def _seconds_since(start: float) -> float:
    return round(time.perf_counter() - start, 3)


def predict_job(
    predictor: Predictor,
    job: Job,
    options: FinalizeOptions,
    progress: WindowProgress | None = None,
) -> Prediction:
    """Read, predict and write one scan, and return its prediction.

    Raises:
        InputError: see `Predictor.predict`; or an output that cannot be written, or figures of a
            label that cannot be computed.
        OutOfMemoryError: see `Predictor.predict`.
    """
    start = time.perf_counter()
    scan = job.scan.read()
    _check_outputs(job, predictor, scan, options)
    read_seconds = time.perf_counter() - start
    _log_before(job, predictor, scan, options)
    prediction = predictor.prediction(
        scan,
        _wanted(job, options),
        where=job.scan.where,
        progress=progress,
        after=bytes_after(predictor.plan, job, options, scan.grid.voxels),
        other_modality=other_modality(job.scan, predictor.plan),
        group=_group(job.scan, predictor),
    )
    labels = finalize(prediction.labels, predictor.plan, options)
    prediction = dataclasses.replace(prediction, labels=labels)
    figures = (
        figures_of_labels(predictor, job, options, scan, prediction)
        if "record" in job.extras
        else {}
    )
    start = time.perf_counter()
    _write_extras(predictor, job, options, scan, prediction)
    for path in job.records:
        remove_record(path)
    # The label map last: after a run that is killed, no label map lacks the files beside it.
    _write_label_map(predictor, job, options, labels)
    if "record" in job.extras:
        write_seconds = time.perf_counter() - start
        seconds = {"read": read_seconds, **prediction.seconds, "write": write_seconds}
        record = prediction_record(predictor, job, prediction, seconds, figures)
        write_text(job.record, json.dumps(record, indent=2) + "\n")
    return prediction


def _group(scan: Scan, predictor: Predictor) -> str:
    """Return the group of a scan: as the user gives it, else as the harmonization was fitted.

    That of the coarse model decides if the other model has none.
    """
    plan = predictor.plan
    if plan.harmonization is None and predictor.locator:
        plan = predictor.locator.bundles[0].plan
    if scan.group or plan.harmonization is None:
        return scan.group
    header = scan.dicom.source.series.header if scan.dicom else None
    return group_of_scan(plan, scan.where, table=scan.table_group, header=header)


def _check_outputs(job: Job, predictor: Predictor, scan: Volume, options: FinalizeOptions) -> None:
    """Raise before the prediction the errors that writing the label map would raise after it."""
    check_labels_fit(job.output, scan.grid.shape, options.labels.values())
    check_dicom_output(job, predictor.plan, options.labels, labelmap=options.labelmap)


def _log_before(job: Job, predictor: Predictor, scan: Volume, options: FinalizeOptions) -> None:
    warn_of_uneven_slices(job)
    log_size(job, predictor.plan, scan.grid, options.probabilities)


def _wanted(job: Job, options: FinalizeOptions) -> Wanted:
    return Wanted(
        uncertainty="uncertainty" in job.extras,
        probabilities=options.probabilities if "probabilities" in job.extras else None,
        scratch=job.output.parent,
        expected_dice="record" in job.extras,
        temperatures=options.temperatures,
    )


def _write_extras(
    predictor: Predictor,
    job: Job,
    options: FinalizeOptions,
    scan: Volume,
    prediction: Prediction,
) -> None:
    """Write the files beside the label map, except for the record."""
    if "preview" in job.extras:
        colors = colors_of(predictor.plan.labels, predictor.plan.segments)
        write_preview(job.preview, scan, prediction.labels, options.labels, colors=colors)
    if prediction.uncertainty is not None:
        write_image(job.uncertainty, prediction.uncertainty, like=job.scan.where)
    if prediction.probabilities is not None:
        write_probabilities(job, prediction, predictor.plan, options.probabilities)
    if "structures" in job.extras:
        write_structures(job, prediction.labels, predictor, options.labels)


def _write_label_map(
    predictor: Predictor, job: Job, options: FinalizeOptions, labels: Volume
) -> None:
    if suffix_of(job.output) == DICOM:
        write_segments(job, labels, predictor, options.labels, labelmap=options.labelmap)
    else:
        write_labels(job.output, labels, like=job.scan.where, names=options.labels)
