"""look_first.html: the scans of a folder in the order in which a person should look at them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.errors import UsageError
from segkit.files.atomic import write_text
from segkit.files.names import PREVIEW, suffix_of
from segkit.inference.files.statistics_table import record_of
from segkit.quality.entry import EXPECTED_KEY
from segkit.quality.records import accuracy_text
from segkit.report.look_first import TITLE, ScanToLook, in_order, look_first_page

log = logging.getLogger(__name__)

NAMED = 3
"""Largest number of scans that the log names."""


def check_look_first(path: Path) -> None:
    """Check that no other file, which must not be overwritten, has the path of the page.

    Raises:
        UsageError: a file that is not such a page.
    """
    if path.exists() and not is_look_first(path):
        raise UsageError(
            f"{path} exists and is not a page that segkit wrote; "
            "move it, or choose another folder with -o"
        )


def is_look_first(path: Path) -> bool:
    """Return whether a file is such a page."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return f"<title>{TITLE}</title>".encode() in file.read(1000)


def write_look_first(
    path: Path, outcomes: Mapping[str, Mapping[str, Any]], cards: Sequence[Mapping[str, Any]]
) -> None:
    """Write the page of all cases in predictions.json, and log which scans come first.

    Args:
        path: the page, in the folder of the label maps and records.
        outcomes: the content of predictions.json.
        cards: content of bundle.json of each model.
    """
    scans = [_scan(path.parent, case, outcome) for case, outcome in outcomes.items()]
    text = look_first_page(scans, _accuracy(cards))
    # The name of a file need not be valid UTF-8.
    write_text(path, text.encode("utf-8", "backslashreplace").decode())
    first = [scan.case for scan in in_order(scans) if scan.is_first]
    if first:
        more = f" and {len(first) - NAMED} more" if len(first) > NAMED else ""
        log.warning(
            "%d of %d scans should be looked at first: %s%s (%s)",
            len(first),
            len(scans),
            ", ".join(first[:NAMED]),
            more,
            path,
        )


def _scan(folder: Path, case: str, outcome: Mapping[str, Any]) -> ScanToLook:
    """Return what the record of a case says about its quality."""
    if not outcome.get("output"):
        return ScanToLook(case, failure=str(outcome.get("message") or "no label map"))
    label_map = folder / Path(outcome["output"]).name
    record = record_of(label_map) or {}
    labels: Mapping[str, Any] = record.get("labels", {})
    whole = record.get(EXPECTED_KEY) or {}
    dice = {
        name: figures[EXPECTED_KEY]
        for name, figures in labels.items()
        if figures.get(EXPECTED_KEY) is not None
    }
    lowest = min(dice, key=lambda name: dice[name], default=None)
    warnings = {name: figures.get("warning") for name, figures in labels.items()}
    flags = [*record.get("scan_warnings", ())]
    flags += [f"{name}: {text}" for name, text in warnings.items() if text]
    stem = label_map.name[: len(label_map.name) - len(suffix_of(label_map))]
    preview = f"{stem}{PREVIEW}.png"
    return ScanToLook(
        case,
        dice=whole.get("mean"),
        note=str(whole.get("note") or "") if whole.get("mean") is None else "",
        error=whole.get("error"),
        usual=whole.get("usual"),
        lowest=None if lowest is None else (lowest, dice[lowest]),
        flags=tuple(flags),
        preview=preview if (folder / preview).is_file() else "",
    )


def _accuracy(cards: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence on how accurate the expected Dice is, for the first model."""
    entries = [card[EXPECTED_KEY]["accuracy"] for card in cards if EXPECTED_KEY in card]
    if len(entries) < len(cards) or not entries:
        return (
            "This model cannot say which Dice to expect: its training had too few validation "
            "cases or too little time for it, or is of an earlier version of segkit; 'segkit "
            "calibrate MODEL' fits it. Only warnings flag a scan."
        )
    return (
        f"The expected Dice was {accuracy_text(entries[0])}. It is meant to find failures, and "
        "says little about which of several good scans is better."
    )
