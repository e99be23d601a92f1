"""Sentences of a comparison: its result, what it compares, how, and what one may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.comparison_summary import main_result
from segkit.evaluation.correction import MAIN_METRIC
from segkit.evaluation.verdict import ALPHA, FEW


def headline(summary: Mapping[str, Any]) -> str:
    """Return the main verdict, with what it is about."""
    main = main_result(summary["results"])
    if main is None:
        return f"{summary['verdict']}."
    labels = [
        entry["label"]
        for entry in summary["results"]
        if entry["metric"] == MAIN_METRIC and entry["cases"] and entry["label"] != MEAN
    ]
    about = f"mean over {len(labels)} labels" if main["label"] == MEAN else str(main["label"])
    verdict = main["verdict"]
    return f"Dice, {about}: {verdict}."


def scope(summary: Mapping[str, Any]) -> str:
    """Return what A, B and the references are, and how many cases are compared."""
    cases = len(summary["cases"]["both"])
    patients = cases - len(summary["patients"]) + len({*summary["patients"].values()})
    of_patients = f" of {patients} patients" if summary["over"] == "patients" else ""
    ignore = summary["ignore"]
    ignored = "" if ignore is None else f" Voxels with {ignore} in the reference are left out."
    return (
        f"A is {_named(summary, 'a')}, B is {_named(summary, 'b')}. The references are"
        f" {summary['references']}. {cases} case{'s' if cases != 1 else ''}{of_patients}."
        f" Differences are B - A.{ignored}"
    )


def _named(summary: Mapping[str, Any], side: str) -> str:
    """Return the name of A or B with its path, or the path alone if both are the same."""
    name, path = summary["names"][side], summary[side]
    return str(path) if name == side.upper() else f"{name} ({path})"


def advice(summary: Mapping[str, Any]) -> list[str]:
    """Return what the figures do not show, and under which conditions they hold."""
    found = [
        "It holds for cases like these, if neither model was trained on them and neither was chosen"
        " by its results on them.",
        "It compares two trained models, not two methods: a second training with another seed may"
        " turn a small difference around. For methods, train each several times"
        " (segkit study).",
        "The p value of the mean over the labels counts if you chose Dice and the mean before you"
        " saw the results. Those of single labels are corrected for the number of labels, not for"
        " the number of metrics.",
    ]
    if MAIN_METRIC in summary["margins"]:
        found.append(
            "The margin must have been chosen before the results were seen; otherwise leave out"
            " what rests on it."
        )
    else:
        found.append(
            "Do not write that both are equally good if there is no evidence of a difference. To"
            " show that, choose the largest irrelevant difference beforehand and give it with"
            " --margin dice=VALUE."
        )
    return found


def method(summary: Mapping[str, Any]) -> list[str]:
    """Return how intervals, tests and verdicts were computed."""
    over = summary["over"]
    tests = [entry["wilcoxon"] for entry in summary["results"]]
    methods = " or ".join(sorted({test["method"] for test in tests})) or "exact"
    patients = (
        " A patient counts with the mean difference of its cases in the test, and with all of its"
        " cases in the interval; a case without a known patient counts as a patient of its own."
        if over == "patients"
        else " No patients are known, so that each case counts as one (--patients FILE names them)."
    )
    return [
        f"Intervals are 95 % percentiles of a bootstrap of the paired differences over {over}"
        f" ({summary['draws']} resamples), expanded for small numbers and never narrower than that"
        f" of Student's t.{patients} Each holds for itself: they are not corrected for several"
        " labels.",
        f"Tests are two-sided Wilcoxon signed-rank tests over {over} ({methods}); differences of"
        " zero are left out of them. The p values of the labels of a metric are corrected together"
        " by Holm's method.",
        f"One is called better only if the interval leaves out zero, p is below {ALPHA}, both point"
        f" the same way, and there are {FEW} {over} at least.",
        "Differences are rounded to a millionth of the power of ten above the largest value, so"
        " that equal ones are equal. Metrics with the prefix absolute_ are compared by their size.",
    ]
