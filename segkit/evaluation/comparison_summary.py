"""Content of comparison.json: the verdict, cases, and every difference with its own verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.cautions import Cases
from segkit.evaluation.correction import MAIN_METRIC
from segkit.evaluation.differences import Difference
from segkit.evaluation.intervals import LEVEL
from segkit.evaluation.resamples import DRAWS
from segkit.evaluation.verdict import finding, sentence_for_a_paper, verdict


def summary_of(
    differences: Sequence[Difference],
    cases: Cases,
    patients: Mapping[str, str],
    margins: Mapping[str, float],
    *,
    names: tuple[str, str],
) -> dict[str, Any]:
    """Return the content of comparison.json in JSON types, with null for what does not exist.

    ``names``    name of A and of B in the sentences
    ``verdict``  on the mean Dice over the labels, or on the Dice of the only label
    ``paper``    a sentence on the same, to be copied
    ``over``     "patients" or "cases": what intervals and tests are over
    ``level``, ``draws``  probability of the intervals, and number of resamples
    ``margins``  metric -> largest irrelevant difference
    ``cases``    the cases in ``both``, in ``only_a``, in ``only_b`` and in ``neither``
    ``patients`` case -> patient, of those that are known
    ``results``  one entry for each metric and label: numbers, verdict and sentence

    Args:
        differences: of each metric and label.
        cases: which cases have predictions.
        patients: patient of each case, as far as they are known.
        margins: largest irrelevant difference of a metric.
        names: name of A and of B.
    """
    unit = "patient" if patients else "case"
    results = [_entry(difference, unit, margins, names) for difference in differences]
    main = main_result(results)
    nothing = "nothing to compare: neither A, nor B, nor a reference has any label"
    return {
        "names": {"a": names[0], "b": names[1]},
        "verdict": main["verdict"] if main else nothing,
        "paper": main["paper"] if main else "",
        "over": f"{unit}s",
        "level": LEVEL,
        "draws": DRAWS,
        "margins": dict(margins),
        "cases": {
            "both": list(cases.both),
            "only_a": list(cases.only_a),
            "only_b": list(cases.only_b),
            "neither": list(cases.neither),
        },
        "patients": dict(patients),
        "results": results,
    }


def main_result(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the entry of the mean Dice over the labels, or of the only label."""
    of_metric = [entry for entry in results if entry["metric"] == MAIN_METRIC]
    means = [entry for entry in of_metric if entry["label"] == MEAN]
    return next(iter([*means, *of_metric]), None)


def _entry(
    difference: Difference, unit: str, margins: Mapping[str, float], names: tuple[str, str]
) -> dict[str, Any]:
    interval = difference.interval
    low, high = (interval.ends if interval else None) or (None, None)
    margin = margins.get(difference.metric)
    return {
        "label": difference.label,
        "metric": difference.metric,
        "higher_is_better": difference.higher_is_better,
        "cases": difference.cases,
        "n": difference.units,
        "mean_a": difference.mean_a,
        "mean_b": difference.mean_b,
        "difference": interval.mean if interval else None,
        "low": low,
        "high": high,
        "p": difference.p if difference.cases else None,
        "p_corrected_for": {"tests": difference.tests, "together": difference.together},
        "wilcoxon": {
            "p": difference.test.p,
            "n": difference.test.n,
            "zeros": difference.test.zeros,
            "method": difference.test.method,
        },
        "better": difference.better,
        "worse": difference.worse,
        "equal": difference.equal,
        "not_compared": difference.not_compared,
        "finding": finding(difference),
        "verdict": verdict(difference, *names, unit=unit, margin=margin),
        "paper": sentence_for_a_paper(difference, *names, unit=unit, margin=margin),
    }
