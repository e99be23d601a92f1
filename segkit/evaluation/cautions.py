"""Sentences on what a comparison leaves out: cases, labels and values that are not compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segkit.errors import first_few
from segkit.evaluation.by_group import MEAN
from segkit.evaluation.paired import NOTHING, PairedValue, is_rightly_absent
from segkit.evaluation.patients import caution_about_patients
from segkit.evaluation.summary import Results

SHOWN = 5
"""Number of cases or labels that a sentence names."""


@dataclass(frozen=True)
class Cases:
    """Cases with a reference, by which of the two have a prediction of them."""

    both: tuple[str, ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    neither: tuple[str, ...] = ()


def cautions(
    cases: Cases,
    results: tuple[Results, ...],
    rows: Sequence[PairedValue],
    patients: Mapping[str, str],
    *,
    is_one_folder: bool,
) -> list[str]:
    """Return sentences about what the figures leave out or may mislead about.

    Args:
        cases: which cases have predictions.
        results: case -> label -> result of A and of B.
        rows: the values of both.
        patients: patient of each case, as far as they are known.
        is_one_folder: whether A and B are the same path.
    """
    same = "A and B are one and the same folder, so nothing can differ." if is_one_folder else ""
    found = [
        same,
        _unpaired(cases),
        _other_labels(*results),
        _absent(results),
        *_never_predicted(results),
        *_one_sided(results),
        *_left_out(rows),
        caution_about_patients(cases.both, patients),
    ]
    return [sentence for sentence in found if sentence]


def _absent(results: tuple[Results, ...]) -> str:
    """Return which labels have no row, because no label map has them."""
    found = [each for part in results for labels in part.values() for each in labels.items()]
    present = {label for label, result in found if result.presence != "neither"}
    absent = [label for label in dict.fromkeys(label for label, _ in found) if label not in present]
    if not absent:
        return ""
    return (
        "Labels in no case of A, B or the references, which are not compared:"
        f" {first_few(absent, SHOWN)}."
    )


def _unpaired(cases: Cases) -> str:
    parts = [
        f"{len(names)} {where} ({first_few(names, SHOWN)})"
        for names, where in (
            (cases.only_a, "only in A"),
            (cases.only_b, "only in B"),
            (cases.neither, "in neither"),
        )
        if names
    ]
    total = len(cases.both) + len(cases.only_a) + len(cases.only_b) + len(cases.neither)
    return (
        f"{len(cases.both)} of {total} cases are compared. The others have a prediction"
        f" {', '.join(parts)}."
        if parts
        else ""
    )


def _other_labels(a: Results, b: Results) -> str:
    """Return a sentence about labels that one of the two lacks in all cases."""
    first, second = (
        dict.fromkeys(label for labels in part.values() for label in labels) for part in (a, b)
    )
    parts = [
        f"{first_few([label for label in labels if label not in others], SHOWN)} only with {name}"
        for labels, others, name in ((first, second, "A"), (second, first, "B"))
        if not labels.keys() <= others.keys()
    ]
    return (
        f"Labels that occur with one of the two only: {', '.join(parts)}. If a label has two names,"
        " give it one with --labels NAME=VALUE,..."
        if parts
        else ""
    )


def _never_predicted(results: tuple[Results, ...]) -> list[str]:
    """Return a sentence for A and B about labels that it predicts in no case."""
    sentences = []
    for name, part in zip("AB", results, strict=True):
        by_label: dict[str, Counter[str]] = defaultdict(Counter)
        for labels in part.values():
            for label, result in labels.items():
                by_label[label][result.presence] += 1
        never = [
            f"{label} (in {counts['reference only']} references)"
            for label, counts in by_label.items()
            if counts["reference only"] and not counts["both"] + counts["prediction only"]
        ]
        if never:
            sentences.append(
                f"{name} never predicts {first_few(never, SHOWN)}, which counts as Dice 0. If it"
                " was not trained for that, choose the labels of both with --labels NAME=VALUE,..."
            )
    return sentences


def _left_out(rows: Sequence[PairedValue]) -> list[str]:
    """Return a sentence for each set of metrics whose values are left out for the same reasons."""
    totals: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.label != MEAN:
            totals[row.metric] += 1
            reasons[row.metric].update([row.note] if row.change == "not compared" else [])
    groups: dict[tuple[tuple[str, int], ...], list[str]] = defaultdict(list)
    for metric, counts in reasons.items():
        groups[tuple(sorted(counts.items()))].append(metric)
    return [
        f"{', '.join(metrics)}: {sum(dict(counts).values())} of {totals[metrics[0]]} pairs of"
        f" values are not compared ({'; '.join(f'{note}: {count}' for note, count in counts)})."
        for counts, metrics in groups.items()
        if counts
    ]


def _one_sided(results: tuple[Results, ...]) -> list[str]:
    """Return sentences about labels that only one of the two misses or makes up."""
    sentences = []
    first, second = results
    for name, other, part, rest in (("A", "B", first, second), ("B", "A", second, first)):
        missed, made_up = Counter[str](), Counter[str]()
        for case, labels in part.items():
            for label, result in labels.items():
                of_other = rest[case].get(label, NOTHING)
                presences = (result.presence, of_other.presence)
                missed[label] += presences == ("reference only", "both")
                made_up[label] += is_rightly_absent(of_other, result)
        if +missed:
            sentences.append(
                f"Only {name} misses {_by_label(+missed)}; {other} finds them. That counts as Dice"
                " 0, and as no distance."
            )
        if +made_up:
            sentences.append(
                f"Only {name} predicts {_by_label(+made_up)} that the reference lacks (a false"
                f" positive). That counts as Dice 0 for {name} and as Dice 1 for {other}, which is"
                f" right; segkit evaluate {other} alone has no value there, so that its mean"
                " differs."
            )
    return sentences


def _by_label(counts: Counter[str]) -> str:
    """Return labels with their numbers of cases.

    >>> _by_label(Counter({"liver": 3, "cyst": 1}))
    'liver in 3 cases, cyst in 1 case'
    """
    return first_few(
        [f"{label} in {n} case{'s' if n > 1 else ''}" for label, n in counts.most_common()], SHOWN
    )
