"""How often does `segkit evaluate --compare` call one of two equal models better?

    python benchmarks/false_findings.py --repeats 1000

Differences in Dice are drawn from distributions with the mean 0 (and one with a mean of half a
standard deviation), for several numbers of cases, and judged as the command judges them.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.differences import differences_of
from segkit.evaluation.measure import LabelResult
from segkit.evaluation.paired import paired_values
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


def main() -> None:
    """Print a row for each distribution and number of cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
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
