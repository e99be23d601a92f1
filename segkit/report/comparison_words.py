"""Sentences of a comparison: its result, what it compares, how, and what one may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.comparison_summary import main_result
from segkit.evaluation.correction import MAIN_METRIC
from segkit.evaluation.verdict import ALPHA, FEW

FINDINGS = {
    "B better": f"the 95 % interval leaves out zero, p is below {ALPHA}, and both point the same"
    " way",
    "hint": f"the interval leaves out zero, but p is not below {ALPHA}. That is not enough for a"
    " claim",
    "unclear": f"p is below {ALPHA}, but the interval of the mean contains zero or points the other"
    " way: most cases moved a little one way, or a few moved far. That is not enough for a claim",
    "no evidence": "neither the interval nor p shows a difference. It does not show that both are"
    " equally good",
    "too few": f"fewer than {FEW} cases or patients, which cannot reach p < {ALPHA}",
}
"""Meaning of the findings that need an explanation."""
UNTOLD = ("too few", "one cannot tell")
"""Findings of metrics that have too few cases to show a difference."""
NO_TEST = ("equal", "nothing to compare")
"""Findings of metrics without any difference to test."""


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
    about = f"mean over {len(labels)} labels" if len(labels) > 1 else (labels or [main["label"]])[0]
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


def explained(results: Sequence[Mapping[str, Any]], said: set[str]) -> list[str]:
    """Return what the findings of a table mean, each where it occurs first.

    Args:
        results: entries of comparison.json that the table shows.
        said: findings that were explained before; those of the table are added.
    """
    found = {
        entry["finding"].partition(":")[0].replace("A better", "B better") for entry in results
    }
    new = [name for name in FINDINGS if name in found - said]
    said |= found
    return [f"{name.replace('B better', 'better')}: {FINDINGS[name]}." for name in new]


def corrections(results: Sequence[Mapping[str, Any]]) -> str:
    """Return which p values of a table are corrected, and for how many tests."""
    counts = {
        entry["p_corrected_for"]["together"]: entry["p_corrected_for"]["tests"]
        for entry in results
        if entry["p"] is not None
    }
    parts = [
        f"{names}: for {count} tests" if count > 1 else f"{names}: a single test, not corrected"
        for names, count in counts.items()
        if names != "main"
    ]
    one_metric = len({entry["metric"] for entry in results}) == 1
    parts += [
        f"{entry['label' if one_metric else 'metric']}: the main result, not corrected"
        for entry in results
        if entry["p"] is not None and entry["p_corrected_for"]["together"] == "main"
    ]
    if not parts:
        return ""
    return f"p is corrected by Holm's method ({'; '.join(parts)}). Intervals are not corrected."


def about_other_metrics(summary: Mapping[str, Any]) -> list[str]:
    """Return what the findings of other metrics add to the verdict on Dice."""
    main = main_result(summary["results"])
    others = [e for e in summary["results"] if e["p_corrected_for"]["together"] == "other metrics"]
    if main is None or not others:
        return []
    better = {
        side: [e["metric"] for e in others if e["finding"] == f"{side} better"] for side in "AB"
    }
    parts = [
        f"{side} ({summary['names'][side.lower()]}) is better in {', '.join(metrics)}"
        for side, metrics in better.items()
        if metrics
    ]
    findings = {entry["finding"].partition(":")[0] for entry in others}
    if findings <= {*UNTOLD, *NO_TEST} and not findings <= {*NO_TEST}:
        return ["There are too few cases to tell whether any of them differs."]
    found = (
        f"After the correction, {' and '.join(parts)}."
        if parts
        else "After the correction, none of them shows a difference."
    )
    verdict = "The verdict at the top rests on Dice alone; these metrics do not change it."
    if parts and main["finding"] not in ("A better", "B better"):
        verdict += (
            " If you report one of them, report also that Dice was compared first, without such a"
            " finding, and how many metrics were tested."
        )
    return [f"{found} {verdict}"]


def advice(summary: Mapping[str, Any]) -> list[str]:
    """Return what the figures do not show, and under which conditions they hold."""
    found = [
        "It holds for cases like these, if neither model was trained on them and neither was chosen"
        " by its results on them.",
        "It compares two trained models, not two methods: a second training with another seed may"
        " turn a small difference around. For methods, train each several times"
        " (segkit study).",
        "The p value of the main result, the mean Dice over the labels (or the Dice of the only"
        " label), is not corrected: it counts if you chose that before you saw the results. All"
        " other p values are corrected for the number of tests in their table (Holm's method), and"
        " no interval is corrected.",
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
        " labels or metrics.",
        f"Tests are two-sided Wilcoxon signed-rank tests over {over} ({methods}); differences of"
        " zero are left out of them. p values are corrected by Holm's method within each of three"
        " groups: the labels of Dice, the other metrics, and the labels of the other metrics. That"
        " of the mean Dice over the labels (or of the Dice of the only label) is not corrected."
        " Uncorrected ones are in comparison.json.",
        f"One is called better only if the interval leaves out zero, p is below {ALPHA}, both point"
        f" the same way, and there are {FEW} {over} at least.",
        "If only one of the two predicts a label that the reference lacks, the other one is right"
        " and counts as perfect there (Dice, IoU, surface Dice and F1 of 1, volume difference and"
        " numbers of lesions of 0).",
        "Differences are rounded to a millionth of the power of ten above the largest value, so"
        " that equal ones are equal. Metrics with the prefix absolute_ are compared by their size.",
    ]
