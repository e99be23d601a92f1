"""Sentences of the normalization study, each of which follows from an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segkit.evaluation.intervals import (
    SHARE_DIFFERENCE,
    Interval,
    ends_text,
    extent,
    mean_interval,
)
from segkit.plans.norm_catalogue import uses_batch_statistics
from segkit.studies.cells import CellResult
from segkit.studies.normalization.settings import NormalizationSettings
from segkit.studies.normalization.summary import Arm, Comparison, rows_by_arm, values_of
from segkit.studies.norms.choices import NORMS

BATCH_NORM = "batch"


def headline(settings: NormalizationSettings, found: Sequence[Comparison]) -> list[str]:
    """Return the answer to the study's first question: does BatchNorm suffer at small batches?

    Without BatchNorm in the study, the answer is about the other norms.
    """
    smallest, largest = min(settings.batch_sizes), settings.largest_batch
    by_arms = {(comparison.a, comparison.b): comparison for comparison in found}
    arm = Arm(BATCH_NORM, smallest)
    sentences = []
    with_reference = by_arms.get((arm, Arm(settings.reference, smallest)))
    if with_reference:
        sentences.append(_against_reference(with_reference, settings.reference, smallest))
    with_largest = by_arms.get((arm, Arm(BATCH_NORM, largest)))
    if with_largest:
        sentences.append(_against_largest(with_largest, smallest, largest))
        sentences += _without_batch_statistics(settings, by_arms)
    return [*(sentences or [_others(found)]), *_of_one_seed(settings, found)]


def _without_batch_statistics(
    settings: NormalizationSettings, by_arms: Mapping[tuple[Arm, Arm], Comparison]
) -> list[str]:
    """Return what the batch size changes for the reference: the loss also depends on it."""
    norm = settings.reference
    arms = Arm(norm, min(settings.batch_sizes)), Arm(norm, settings.largest_batch)
    if arms not in by_arms or uses_batch_statistics(NORMS[norm]["norm"]):
        return []
    return [f"Without statistics of the batch: {by_arms[arms].verdict}."]


def _of_one_seed(settings: NormalizationSettings, found: Sequence[Comparison]) -> list[str]:
    """Return a reservation if differences rest on one training each."""
    certain = [part for part in found if part.difference and part.difference.excludes_zero]
    if len(settings.seeds) > 1 or not certain:
        return []
    return [
        "With one seed a difference may be due to chance in two trainings: repeat it with three "
        "or more seeds."
    ]


def _against_reference(comparison: Comparison, reference: str, batch_size: int) -> str:
    difference = comparison.difference
    start = f"At batch size {batch_size}, on this data, "
    if difference is None:
        return f"{start}batch and {reference} cannot be compared."
    if difference.excludes_zero:
        word = "higher" if difference.low > 0 else "lower"
        return f"{start}BatchNorm has a {word} Dice than {reference} {extent(difference)}."
    return (
        f"{start}there is no evidence that BatchNorm and {reference} differ in Dice "
        f"{extent(difference)}."
    )


def _against_largest(comparison: Comparison, smallest: int, largest: int) -> str:
    difference = comparison.difference
    if difference is None:
        return "BatchNorm's batch sizes cannot be compared with each other."
    shrinks = f"its batch shrinks from {largest} to {smallest}"
    if difference.excludes_zero:
        word = "loses" if difference.high < 0 else "gains"
        return f"BatchNorm {word} Dice {extent(difference)} when {shrinks}."
    return (
        f"There is no evidence that BatchNorm loses or gains Dice when {shrinks} "
        f"{extent(difference)}."
    )


def _others(found: Sequence[Comparison]) -> str:
    compared = [part.difference for part in found if part.difference]
    certain = [difference for difference in compared if difference.excludes_zero]
    if not found:
        return "There is nothing to compare: give several norms or batch sizes."
    if not compared:
        return "Nothing can be compared yet: no two cells of a comparison have results."
    if not certain:
        return (
            "There is no evidence that any of the norms and batch sizes that were compared differ."
        )
    return f"{len(certain)} of {len(compared)} comparisons show a difference beyond chance."


def gap_sentences(results: Sequence[CellResult]) -> list[str]:
    """Return, for norms with statistics of the batch, how training mode differs from evaluation.

    Group, instance and layer norm compute the same in both, so that their gap is exactly 0.
    """
    sentences = []
    for arm, rows in rows_by_arm(results).items():
        values = values_of(rows, "train_eval_gap")
        interval = mean_interval(values, limits=SHARE_DIFFERENCE)
        if interval is not None and any(values.values()):
            sentences.append(_gap(arm, interval))
    return sentences


def _gap(arm: Arm, interval: Interval) -> str:
    between = ends_text(interval)
    if not interval.excludes_zero:
        return f"{arm}: no evidence that running statistics change Dice ({between})."
    change = "raise" if interval.low > 0 else "lower"
    return (
        f"{arm}: running statistics {change} Dice by {abs(interval.mean):.4f} against the "
        f"statistics of the batch ({between})."
    )
