"""Where the numbers of an evaluation come from: data, models, versions and commands."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from segkit._version import __version__
from segkit.report.evaluation.cases import MODEL_FACTS, CaseFacts
from segkit.report.tables import html_table

LIBRARIES = ("numpy", "scipy")
NO_COMMAND = "not recorded; the evaluation was started from Python or by a study"
UNKNOWN = "not recorded; segkit predict --stats records it beside each label map"
MOST = 6
"""Number of different models or settings that the table lists."""


def provenance_section(summary: Mapping[str, Any], facts: Sequence[CaseFacts], command: str) -> str:
    """Return the section as HTML.

    Args:
        summary: summary of the evaluation.
        facts: all cases, with what was recorded beside their predictions.
        command: what was typed; "" if the evaluation was started from Python.
    """
    sources = [fact.source for fact in facts]
    rows = [
        ("predictions", str(summary["predictions"])),
        ("references", str(summary["references"])),
        ("model", models_text(sources)),
        ("predicted with", _counted(map(_versions, sources))),
        ("settings", _counted(map(_settings, sources))),
        ("predicted on", _dates(facts)),
        *origin_rows(command or NO_COMMAND),
    ]
    return f'<h2 id="provenance">Where the numbers come from</h2>\n{html_table(["", ""], rows)}'


def origin_rows(command: str) -> list[tuple[str, str]]:
    """Return rows about versions, time and command of an evaluation."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    software = f"segkit {__version__}, Python {platform.python_version()}, {libraries}"
    return [
        ("evaluated with", software),
        ("evaluated on", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("command", command),
    ]


def models_text(sources: Iterable[Mapping[str, Any]]) -> str:
    """Return which models made the predictions, from the run records of the cases."""
    return _counted(map(_model, sources))


def _model(source: Mapping[str, Any]) -> str:
    models = source.get("model")
    if not isinstance(models, list):
        return ""
    return " and ".join(
        f"{model.get('name')} (hash {model.get('hash')}, of {str(model.get('created'))[:10]})"
        for model in models
        if isinstance(model, dict)
    )


def _versions(source: Mapping[str, Any]) -> str:
    versions = source.get("versions")
    if not isinstance(versions, dict):
        return ""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _settings(source: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {source[name]}" for name in MODEL_FACTS if name in source)


def _dates(facts: Iterable[CaseFacts]) -> str:
    dates = sorted({str(fact.source["date"])[:10] for fact in facts if "date" in fact.source})
    if not dates:
        return UNKNOWN
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def _counted(texts: Iterable[str]) -> str:
    """Return the different texts, each with its number of cases if there are several."""
    counts = Counter(texts)
    if set(counts) <= {""}:
        return UNKNOWN
    if len(counts) == 1:
        return next(iter(counts))
    total = sum(counts.values())
    known = [(text, count) for text, count in counts.most_common() if text]
    parts = [f"{text} ({count} of {total} cases)" for text, count in known[:MOST]]
    if len(known) > MOST:
        parts.append(f"and {len(known) - MOST} more")
    if counts[""]:
        parts.append(f"not recorded ({counts['']} of {total} cases)")
    return "; ".join(parts)
