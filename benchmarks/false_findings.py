"""How often does `segkit evaluate --compare` call one of two equal models better?

    python benchmarks/false_findings.py --repeats 1000
    python benchmarks/false_findings.py --repeats 1000 --differences comparison/differences.csv

Differences in Dice are drawn from distributions with the mean 0 (and one with a mean of half a
standard deviation), for several numbers of cases, and judged as the command judges them.

With --differences, A and B of a real comparison are exchanged in each case by the toss of a coin,
all metrics and labels of the case together. So nothing differs but by chance, and the metrics
depend on each other as they do. How often is at least one of them called better?
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.correction import MAIN_METRIC
from segkit.evaluation.differences import Difference, differences_of
from segkit.evaluation.measure import LabelResult
from segkit.evaluation.paired import PairedValue, is_higher_better, paired_values
from segkit.evaluation.verdict import finding

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda random, n: random.normal(0, 0.02, n),
    "heavy tails (Student's t, 2 degrees of freedom)": lambda random, n: (
        0.01 * random.standard_t(2, n)
    ),
    "ties (normal, rounded to its standard deviation)": lambda random, n: (
        0.02 * np.round(random.normal(0, 1, n))
    ),
    "skewed (exponential)": lambda random, n: random.exponential(0.02, n) - 0.02,
    "normal, B better by half a standard deviation": lambda random, n: random.normal(0.01, 0.02, n),
}
CASES = (6, 10, 20, 40)


def finding_of(differences: NDArray[np.float64]) -> str:
    """Return the finding for one label with these differences, B minus A."""
    a, b = (
        {f"c{i}": {"x": LabelResult("both", {"dice": float(v)})} for i, v in enumerate(values)}
        for values in (np.full(len(differences), 0.5), 0.5 + differences)
    )
    return finding(differences_of(paired_values(a, b))[0])


def real_rows(file: Path) -> list[PairedValue]:
    """Return the compared values in differences.csv."""
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            _row(line["case"], line["label"], line["metric"], float(line["a"]), float(line["b"]))
            for line in csv.DictReader(lines)
            if line["difference"]
        ]


def _row(case: str, label: str, metric: str, a: float, b: float) -> PairedValue:
    if a == b:
        return PairedValue(case, label, metric, a, b, 0.0, "equal")
    is_better = (b > a) is is_higher_better(metric)
    return PairedValue(case, label, metric, a, b, b - a, "better" if is_better else "worse")


def exchanged(rows: Sequence[PairedValue], random: np.random.Generator) -> list[PairedValue]:
    """Return the values with A and B exchanged in about half of the cases."""
    swap = {case: bool(random.integers(2)) for case in dict.fromkeys(row.case for row in rows)}
    return [
        _row(row.case, row.label, row.metric, row.b or 0.0, row.a or 0.0) if swap[row.case] else row
        for row in rows
    ]


def is_called_better(found: Sequence[Difference]) -> bool:
    """Return whether at least one of the differences is called better."""
    return any(finding(each).endswith("better") for each in found)


def real_findings(file: Path, repeats: int) -> None:
    """Print how often at least one test of a group is called better, by the correction."""
    rows, counts = real_rows(file), Counter[tuple[str, str]]()
    for number in range(repeats):
        found = differences_of(exchanged(rows, np.random.default_rng(number)))
        groups = {
            "main result": [e for e in found if (e.label, e.metric) == (MEAN, MAIN_METRIC)],
            "labels of Dice": [e for e in found if e.label != MEAN and e.metric == MAIN_METRIC],
            "other metrics": [e for e in found if e.label == MEAN and e.metric != MAIN_METRIC],
            "labels of other metrics": [
                e for e in found if e.label != MEAN and e.metric != MAIN_METRIC
            ],
        }
        for name, group in groups.items():
            counts[f"{name} ({len(group)})", "corrected"] += is_called_better(group)
            plain = [replace(each, p=each.test.p) for each in group]
            counts[f"{name} ({len(group)})", "uncorrected"] += is_called_better(plain)
    print("| tests | uncorrected | as in a comparison |")
    print("| --- | --- | --- |")
    for name in dict.fromkeys(name for name, _ in counts):
        plain, corrected = (counts[name, key] / repeats for key in ("uncorrected", "corrected"))
        print(f"| {name} | {100 * plain:.1f} % | {100 * corrected:.1f} % |")


def main() -> None:
    """Print a row for each distribution and number of cases, or for each group of real tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--differences", type=Path, metavar="FILE", help="of a comparison")
    given = parser.parse_args()
    repeats = given.repeats
    if given.differences:
        real_findings(given.differences, repeats)
        return
    print("| differences | cases | A better | B better | hint | unclear | no evidence |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, draw in DISTRIBUTIONS.items():
        for cases in CASES:
            random = np.random.default_rng(cases)
            counts = Counter(
                finding_of(draw(random, cases)).partition(":")[0] for _ in range(repeats)
            )
            columns = ("A better", "B better", "hint", "unclear", "no evidence")
            shares = " | ".join(f"{100 * counts[key] / repeats:.1f} %" for key in columns)
            print(f"| {name} | {cases} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
