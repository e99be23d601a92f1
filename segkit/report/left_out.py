"""Table of the values that are left out of the means of an evaluation, because they are infinite or
undefined."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from segkit.report.tables import Cell

TITLE = "Values left out of the means:"
HEADER = ["label", "metrics", "infinite", "undefined"]


def left_out_rows(summary: Mapping[str, Any]) -> list[list[Cell]]:
    """Return a row for each label and each group of metrics with equal numbers of such values.

    Args:
        summary: content of summary.json.

    >>> counts = {"infinite": {"hd95_mm": 1, "assd_mm": 1}, "undefined": {"precision": 2}}
    >>> left_out_rows({"counts": {"liver": counts}, "mean": ["hd95_mm", "assd_mm", "precision"]})
    [['liver', 'hd95_mm, assd_mm', 1, 0], ['liver', 'precision', 0, 2]]
    """
    rows: list[list[Cell]] = []
    for label, counts in summary["counts"].items():
        infinite, undefined = counts["infinite"], counts.get("undefined", {})
        groups: dict[tuple[int, int], list[str]] = defaultdict(list)
        for metric in summary["mean"]:
            groups[infinite.get(metric, 0), undefined.get(metric, 0)].append(metric)
        groups.pop((0, 0), None)
        rows += [[label, ", ".join(metrics), *numbers] for numbers, metrics in groups.items()]
    return rows
