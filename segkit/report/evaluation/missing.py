"""Sentences on what could not be measured: failed cases, missed labels, values left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segkit.errors import first_few
from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.metrics import metric_of
from segkit.evaluation.run_records import failures
from segkit.report.evaluation.case_table import number_text
from segkit.report.page import bullets

NAMED = 8
"""Number of cases that a sentence names."""
REASONS = {
    "infinite": "one of the two masks is empty",
    "undefined": "there is nothing to divide by or to measure from (NaN in other programs)",
}
"""Why values of each kind are infinite or undefined."""
NO_MAP = "no probabilities of the label lie beside the prediction"
"""Why metrics of calibration are undefined."""


def missing_section(evaluation: Evaluation) -> str:
    """Return the section about everything that was not measured, as HTML."""
    sentences = [*failed_sentences(evaluation), *absence_sentences(evaluation)]
    sentences += left_out_sentences(evaluation.summary)
    if not sentences:
        sentences = [
            "Nothing is missing: every label is in both masks of every case, and every metric has a"
            " finite value."
        ]
    return f'<h2 id="missing">Failures, empty masks and values left out</h2>\n{bullets(sentences)}'


def failed_sentences(evaluation: Evaluation) -> Iterator[str]:
    """Yield a sentence about the references without a prediction, and why predictions failed."""
    missing = evaluation.summary["references_without_prediction"]
    if not missing:
        return
    yield (
        f"{without_prediction(len(missing))}: {first_few(missing, NAMED)}. They are in none of the"
        f" means, which may therefore be too high.{_if_zero(evaluation.summary, len(missing))}"
    )
    reasons = failures(Path(evaluation.summary["predictions"]))
    for case in [case for case in missing if reasons.get(case)][:NAMED]:
        yield f"{case} failed: {reasons[case]}"


def without_prediction(count: int) -> str:
    """Return in words how many references have no prediction.

    >>> without_prediction(1), without_prediction(2)
    ('1 reference has no prediction', '2 references have no prediction')
    """
    return f"{count} {'reference has' if count == 1 else 'references have'} no prediction"


def _if_zero(summary: Mapping[str, Any], missing: int) -> str:
    """Return a sentence with the mean Dice if it were 0 in the missing cases."""
    found = summary["distribution"]["mean"].get("dice")
    if found is None or found["mean"] is None:
        return ""
    with_zeros = found["mean"] * found["values"] / (found["values"] + missing)
    return (
        f" With a Dice of 0 for them, the mean Dice would be {number_text(with_zeros)} instead of"
        f" {number_text(found['mean'])}."
    )


def absence_sentences(evaluation: Evaluation) -> Iterator[str]:
    """Yield sentences about labels that are in only one of the masks, or in neither."""
    cases = _cases_by_presence(evaluation)
    total = len(evaluation.summary["cases"])
    for label, counts in evaluation.summary["counts"].items():
        missed, invented = cases[label, "missed"], cases[label, "invented"]
        if missed:
            yield (
                f"{label} was missed in {_cases(len(missed))} of {total}"
                f" ({first_few(missed, NAMED)}): it is in the reference, and nothing of it was"
                " predicted. Dice 0 counts in the mean; distances are infinite."
            )
        if invented:
            yield (
                f"{label} was predicted in {_cases(len(invented))} of {total} without it in the"
                f" reference ({first_few(invented, NAMED)}). Dice 0 counts in the mean; distances"
                " are infinite."
            )
        if counts["neither"]:
            yield (
                f"{label} is in neither mask of {_cases(counts['neither'])} of {total}. That is"
                " correct, but there is nothing to measure: these cases have no value for it."
            )


def _cases_by_presence(evaluation: Evaluation) -> dict[tuple[str, str], list[str]]:
    """Return the cases in which a label is ``missed`` or ``invented``, by label and that word."""
    cases = defaultdict(list)
    for (case, label), (predicted, reference) in evaluation.volumes.items():
        if not predicted:
            cases[label, "missed"].append(case)
        elif not reference:
            cases[label, "invented"].append(case)
    return cases


def left_out_sentences(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences about infinite and undefined values, which are counted and left out."""
    for label, counts in summary["counts"].items():
        for kind in REASONS:
            alike: dict[tuple[int, str], list[str]] = defaultdict(list)
            for metric, count in counts.get(kind, {}).items():
                alike[count, _reason(kind, metric)].append(metric)
            for (count, why), metrics in alike.items():
                is_one = len(metrics) == 1
                yield (
                    f"{label}: {', '.join(metrics)} {'is' if is_one else 'are'} {kind} in"
                    f" {_cases(count)}, because {why}. {'Its mean' if is_one else 'Their means'}"
                    " leave these cases out and can look better than the model is."
                )


def _reason(kind: str, metric: str) -> str:
    """Return why values of a metric are infinite or undefined."""
    return NO_MAP if metric_of(metric).family == "calibration" else REASONS[kind]


def _cases(count: int) -> str:
    return f"{count} {'case' if count == 1 else 'cases'}"
