"""The result of an evaluation in a few sentences, at the top of its report."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from segkit.evaluation.patients import caution_about_patients
from segkit.report.evaluation.case_table import anchor, number_text
from segkit.report.evaluation.cases import CaseFacts
from segkit.report.evaluation.missing import without_prediction
from segkit.report.evaluation.results import interval_text

NAMED = 5
"""Number of cases to look at first."""
FEW = 10
"""Number of patients below which the lead says that they are few."""


def lead(
    summary: Mapping[str, Any],
    facts: Sequence[CaseFacts],
    shown: Collection[str],
    patients: Mapping[str, str],
) -> list[str]:
    """Return the sentences as HTML.

    Args:
        summary: summary of the evaluation, with distributions.
        facts: all cases, worst first.
        shown: cases that the page has a picture of.
        patients: patient of each case of which it is known.
    """
    parts = [html.escape(sentence) for sentence in _numbers(summary)]
    if facts and facts[0].mean is not None:
        worst = [_link(fact, shown) for fact in facts[:NAMED] if fact.mean is not None]
        parts.append(f"Look at these cases first: {', '.join(worst)}.")
    caution = caution_about_patients(list(summary["cases"]), patients)
    parts += [html.escape(caution)] if caution else []
    missing = len(summary["references_without_prediction"])
    one_empty = sum(
        counts["reference_only"] + counts["prediction_only"]
        for counts in summary["counts"].values()
    )
    if missing or one_empty:
        words = [without_prediction(missing)] if missing else []
        words += [f"{one_empty} times a label is in only one of the two masks"] * bool(one_empty)
        sentence = f"Not everything could be measured: {', and '.join(words)}"
        parts.append(f'{sentence} (<a href="#missing">which</a>).')
    return [f"<p><strong>{parts[0]}</strong></p>", *(f"<p>{part}</p>" for part in parts[1:])]


def _numbers(summary: Mapping[str, Any]) -> list[str]:
    overall = summary["distribution"]["mean"].get("dice")
    labels = summary["distribution"]["labels"]
    if overall is None or overall["mean"] is None:
        return ["No label occurs in any case, so that nothing could be measured."]
    interval = interval_text(overall["low"], overall["high"])
    found = f"The mean Dice is {number_text(overall['mean'])}"
    found += f" (95 % interval {interval})" if overall["low"] is not None else ""
    sentences = [f"{found}, over {_counts(overall, labels)}."]
    known = {name: by["dice"] for name, by in labels.items() if by["dice"]["mean"] is not None}
    if len(known) > 1:
        lowest = min(known, key=lambda name: known[name]["mean"])
        low, high = known[lowest]["low"], known[lowest]["high"]
        interval = f" ({interval_text(low, high)})" if low is not None else ""
        sentences.append(
            f"The label with the lowest mean is {lowest}:"
            f" {number_text(known[lowest]['mean'])}{interval}."
        )
    if overall["patients"] < FEW:
        sentences.append(
            f"{overall['patients']} {'patient is' if overall['patients'] == 1 else 'patients are'}"
            " few: another sample can give a clearly different mean."
        )
    return sentences


def _counts(overall: Mapping[str, Any], labels: Collection[str]) -> str:
    cases, patients = overall["values"], overall["patients"]
    counts = f"{cases} {'case' if cases == 1 else 'cases'}"
    if patients < cases:
        counts += f" of {patients} {'patient' if patients == 1 else 'patients'}"
    return f"{counts} and {len(labels)} {'label' if len(labels) == 1 else 'labels'}"


def _link(fact: CaseFacts, shown: Collection[str]) -> str:
    name = html.escape(fact.case)
    if fact.case in shown:
        name = f'<a href="#{anchor(fact.case)}">{name}</a>'
    return f"{name} ({number_text(fact.mean)})"
