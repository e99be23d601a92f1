"""Record of one prediction: how it was computed, and the figures of its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segkit.inference.files.finalize import FinalizeOptions
from segkit.inference.files.label_statistics import label_figures
from segkit.inference.files.outputs import Job
from segkit.inference.files.provenance import run_record
from segkit.inference.prediction import Prediction
from segkit.quality.records import label_record, scan_record
from segkit.volume import Volume

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor


def figures_of_labels(
    predictor: Predictor,
    job: Job,
    options: FinalizeOptions,
    scan: Volume,
    prediction: Prediction,
) -> dict[str, Any]:
    """Return the figures of each label; a channel that the scan lacks has no intensities."""
    missing = [channel.name for channel in job.scan.missing]
    names = [channel.name for channel in predictor.plan.channels]
    channels = {
        name: voxels for name, voxels in zip(names, scan.array, strict=True) if name not in missing
    }
    figures = label_figures(
        prediction.labels,
        options.labels,
        predictor.plan.regions,
        channels=channels,
        uncertainty=None if prediction.uncertainty is None else prediction.uncertainty.array[0],
        where=job.scan.where,
    )
    return {
        name: {
            **label,
            "warning": prediction.label_warnings.get(name, ""),
            **label_record(prediction.expected_dice.get(name)),
        }
        for name, label in figures.items()
    }


def prediction_record(
    predictor: Predictor,
    job: Job,
    prediction: Prediction,
    seconds: Mapping[str, float],
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the run record and the figures of labels, in JSON types."""
    record = run_record(predictor, job.scan.files, seconds, box=prediction.box)
    record["channels_left_out"] = [channel.name for channel in job.scan.missing]
    record["tile_mismatch"] = prediction.tile_mismatch
    if job.scan.notes:
        record["notes"] = list(job.scan.notes)
    if job.scan.series:
        record["series"] = job.scan.series
    if prediction.harmonization:
        record["group"] = prediction.harmonization.group
    record["scan_warnings"] = list(prediction.scan_warnings)
    kept = {name: label for name, label in prediction.expected_dice.items() if name in figures}
    cards = [model.card for model in predictor.bundles]
    record |= scan_record(kept, cards, no_dice_because=prediction.no_dice_because)
    if prediction.temperatures:
        record["temperatures"] = list(prediction.temperatures)
    record["labels"] = dict(figures)
    regions = predictor.plan.regions
    kept_regions = {name: list(values) for name, values in regions.items() if name in figures}
    if kept_regions:
        record["regions"] = kept_regions
    return record
