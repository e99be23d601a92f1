"""Compare two sets of predictions of the same cases: which one is better, and how sure is that?"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segkit.errors import InputError, UsageError, first_few
from segkit.evaluation.by_group import check_label_names
from segkit.evaluation.cautions import Cases, cautions
from segkit.evaluation.comparison_summary import summary_of
from segkit.evaluation.differences import Difference, differences_of
from segkit.evaluation.evaluate import (
    CaseResult,
    check_settings,
    measure_pairs,
    warn_of_tolerance,
)
from segkit.evaluation.extras import Extras, checked_extras
from segkit.evaluation.measure import Structure, values_of
from segkit.evaluation.metrics import METRICS, UNITS, Family
from segkit.evaluation.paired import PairedValue, compared_name, paired_values
from segkit.evaluation.pairs import Pairs, find_pairs
from segkit.evaluation.patients import patients_of_cases
from segkit.evaluation.swapped_folders import SHOWN
from segkit.files.report_folder import WORKING_FOLDER
from segkit.io.segment_names import names_in

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Paired differences of two sets of predictions, and the content of comparison.json."""

    rows: tuple[PairedValue, ...]
    """Values of both in every case."""
    differences: tuple[Difference, ...]
    """Mean paired difference of each metric and label."""
    summary: dict[str, Any]
    """Content of comparison.json; see `summary_of`."""
    pairs: tuple[Pairs, Pairs]
    """Files of the compared cases with A and with B."""

    @property
    def verdict(self) -> str:
        """The verdict on the mean Dice over the labels, or on the Dice of the only label."""
        return str(self.summary["verdict"])


def compare(
    a: str | Path,
    b: str | Path,
    references: str | Path,
    *,
    labels: Mapping[str, Structure] | None = None,
    ignore: int | None = None,
    tolerance_mm: float = 1.0,
    patients: Mapping[str, str] | None = None,
    margins: Mapping[str, float] | None = None,
    extras: Collection[Family] = (),
    lesion_iou: float = 0.0,
) -> Comparison:
    """Compare two sets of predictions with the same references, case by case.

    Both are measured as by `segkit.evaluate`. Only cases with a prediction in both are compared;
    the others are counted. Differences are B minus A. Values that are infinite or undefined with
    one of the two are left out and counted; a missed label has a Dice of 0, which is not left out.
    A label that only one of the two predicts, and the reference lacks, has a Dice of 0 with that
    one and of 1 with the other, which is right.

    Args:
        a: a label map or a folder of them, such as the predictions of the usual model.
        b: the same of the other model.
        references: a label map, a folder of them, or a dataset.
        labels: as of `segkit.evaluate`.
        ignore: as of `segkit.evaluate`.
        tolerance_mm: as of `segkit.evaluate`.
        patients: patient of each case; by default those of the dataset, if it names some. Intervals
            and tests are then over patients instead of cases.
        margins: largest difference of a metric that is irrelevant, such as ``{"dice": 0.01}``; the
            verdict then says whether both are equivalent.
        extras: as of `segkit.evaluate`.
        lesion_iou: as of `segkit.evaluate`.

    Raises:
        InputError: as `segkit.evaluate`; or A and B have no case in common.
        UsageError: as `segkit.evaluate`; or a margin is not above 0 or of an unknown metric.
    """
    check_settings(labels, tolerance_mm, ignore)
    wanted = checked_extras(extras, lesion_iou)
    _check_margins(margins or {})
    pairs = _with_common_names(
        find_pairs(a, references, labels, ignore), find_pairs(b, references, labels, ignore)
    )
    cases = _cases(pairs, Path(a), Path(b))
    pairs = (_chosen(pairs[0], cases.both), _chosen(pairs[1], cases.both))
    first, second = (
        _measured(part, path, tolerance=tolerance_mm, extras=wanted)
        for part, path in zip(pairs, (a, b), strict=True)
    )
    warn_of_tolerance(tolerance_mm, [result.grid for result in first])
    known = _patients(cases, pairs[0], patients)
    results = tuple({result.case: result.labels for result in part} for part in (first, second))
    check_label_names({name for part in results for labels in part.values() for name in labels})
    rows = paired_values(*results)
    differences = differences_of(rows, known)
    summary = {
        "a": str(a),
        "b": str(b),
        "references": str(references),
        WORKING_FOLDER: str(Path.cwd()),
        "tolerance": tolerance_mm,
        "ignore": pairs[0].ignore,
        "unit": sorted({result.grid.unit for result in first}),
        "families": list(wanted.families),
        "lesion_iou": wanted.lesion_iou if "lesions" in wanted.families else None,
        **summary_of(differences, cases, known, margins or {}, names=short_names(a, b)),
        "cautions": [
            *_unused_margins(margins or {}, differences),
            *cautions(cases, results, rows, known, is_one_folder=_is_one(a, b)),
        ],
    }
    return Comparison(tuple(rows), tuple(differences), summary, pairs)


def short_names(a: str | Path, b: str | Path) -> tuple[str, str]:
    """Return the shortest ends of two paths that tell them apart; "A" and "B" if they are equal.

    >>> short_names("runs/flat/out", "runs/deep/out"), short_names("x/old", "x/new")
    (('flat/out', 'deep/out'), ('old', 'new'))
    """
    parts = [Path(path).resolve().parts for path in (a, b)]
    for length in range(1, max(map(len, parts)) + 1):
        first, second = ("/".join(part[-length:]) for part in parts)
        if first != second:
            return first, second
    return "A", "B"


def _is_one(a: str | Path, b: str | Path) -> bool:
    return Path(a).resolve() == Path(b).resolve()


def _check_margins(margins: Mapping[str, float]) -> None:
    known = [compared_name(metric.key(unit)) for metric in METRICS for unit in UNITS]
    unknown = [name for name in margins if name not in known]
    if unknown:
        raise UsageError(
            f"margin of {unknown[0]}: there is no such metric. Choose from"
            f" {', '.join(dict.fromkeys(known))}"
        )
    if not all(0 < margin < math.inf for margin in margins.values()):
        raise UsageError(f"margins must be above 0 and finite, not {dict(margins)}")


def _unused_margins(
    margins: Mapping[str, float], differences: Sequence[Difference]
) -> Iterator[str]:
    """Yield a sentence about margins of metrics that were not measured, if there are any."""
    unused = margins.keys() - {difference.metric for difference in differences}
    if unused:
        yield f"Margins of metrics that were not measured have no effect: {first_few(unused)}."


def _with_common_names(a: Pairs, b: Pairs) -> tuple[Pairs, Pairs]:
    """Return both with the names that either gives to label values, so that labels have one name.

    Names of the references or of the user count for both as they are. If A and B contradict each
    other, labels are named as in each of them.
    """
    if a.labels and b.labels:
        return a, b
    first, second = _names_in_predictions(a), _names_in_predictions(b)
    names = {**second, **first}
    differing = [name for name in second if values_of(names[name]) != values_of(second[name])]
    if differing or len({values_of(structure) for structure in names.values()}) < len(names):
        log.warning(
            "A and B name label values differently%s: give the labels names with --labels",
            f" ({first_few(differing)})" if differing else "",
        )
        names = {}
    return replace(a, labels=None, record_names=names), replace(b, labels=None, record_names=names)


def _names_in_predictions(pairs: Pairs) -> dict[str, Structure]:
    """Return the names in the label maps of the predictions and in the records beside them."""
    in_files: dict[str, Structure] = {}
    for pair in pairs.pairs:
        in_files.update(names_in(pair.prediction))
    return {**in_files, **pairs.record_names}


def _cases(pairs: tuple[Pairs, Pairs], a: Path, b: Path) -> Cases:
    """Return which cases have a prediction in both, in one only and in neither.

    Raises:
        InputError: none has one in both.
    """
    first, second = ([pair.case for pair in part.pairs] for part in pairs)
    both = tuple(case for case in first if case in set(second))
    if not both:
        raise InputError(
            b,
            expected=f"predictions of the cases in {a}: {first_few(first, SHOWN)}",
            found=first_few(second, SHOWN),
            remedy="Compare two sets of predictions of the same cases.",
        )
    missing = {*pairs[0].without_prediction, *pairs[1].without_prediction}
    without = missing - {*first, *second}
    return Cases(
        both,
        tuple(case for case in first if case not in both),
        tuple(case for case in second if case not in both),
        tuple(sorted(without)),
    )


def _chosen(pairs: Pairs, cases: Sequence[str]) -> Pairs:
    wanted = set(cases)
    return replace(pairs, pairs=tuple(pair for pair in pairs.pairs if pair.case in wanted))


def _measured(
    pairs: Pairs, path: str | Path, *, tolerance: float, extras: Extras
) -> list[CaseResult]:
    log.info("measuring %s", path)
    return measure_pairs(pairs, tolerance=tolerance, extras=extras)


def _patients(cases: Cases, pairs: Pairs, patients: Mapping[str, str] | None) -> dict[str, str]:
    """Return the patient of each compared case that has one.

    Raises:
        InputError: patients are given, but none is of a compared case.
    """
    if patients is not None:
        return patients_of_cases(cases.both, patients) if patients else {}
    return {pair.case: pair.patient for pair in pairs.pairs if pair.patient}
