"""Compare the table in docs/licences.md with pyproject.toml and with what is installed."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
CORE = "core"
"""Name of the dependencies that every installation has, among the extras."""
DEV = "dev"
"""Extra that repeats the dependencies of the others."""
SHORT = {
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF",
}
"""Short names of licenses that packages write in several ways."""


@dataclass(frozen=True)
class Row:
    """A dependency in the table, or in pyproject.toml (then without license)."""

    name: str
    versions: str
    extra: str
    license: str = ""


def rows(page: str) -> list[Row]:
    """Return the rows of the table in the text of the page."""
    cells = re.findall(r"^\| `([\w.-]+)` \| `([^`]*)` \| (\w+) \| ([^|]+?) \|", page, re.MULTILINE)
    return [Row(*row) for row in cells]


def requirements(project: Path = ROOT / "pyproject.toml") -> list[Row]:
    """Return name, versions and extra of every dependency, each in the first extra that has it."""
    content = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = content["optional-dependencies"]
    ordered = {CORE: content["dependencies"], **extras, DEV: extras[DEV]}
    found: dict[str, Row] = {}
    for extra, texts in sorted(ordered.items(), key=lambda item: item[0] == DEV):
        for text in texts:
            name, versions = re.fullmatch(r"([\w.-]+)([^;]*?)\s*(?:;.*)?", text).groups()
            found.setdefault(name, Row(name, versions, extra))
    return list(found.values())


def without_line(page: str, wanted: list[Row]) -> list[str]:
    """Return what the table lacks, and what it has that is no dependency, in words."""
    listed = {(row.name, row.versions, row.extra) for row in rows(page)}
    needed = {(row.name, row.versions, row.extra) for row in wanted}
    return [
        *(f"no line for {' '.join(row)}" for row in sorted(needed - listed)),
        *(f"a line for {' '.join(row)}, which is no dependency" for row in sorted(listed - needed)),
    ]


def installed_license(name: str) -> str | None:
    """Return the license that an installed package states; None if it is not installed."""
    try:
        return stated_license(metadata(name))
    except PackageNotFoundError:
        return None


def stated_license(facts: PackageMetadata) -> str:
    """Return License-Expression, else a License of one line, else the classifiers.

    Some packages have the whole text in the field License.
    """
    text = facts.get("License-Expression") or facts.get("License") or ""
    if not text or len(text.splitlines()) > 1:
        classifiers = facts.get_all("Classifier") or []
        names = [name.rpartition(" :: ")[2] for name in classifiers if name.startswith("License")]
        text = ", ".join(SHORT.get(name, name) for name in names)
    return SHORT.get(text, text)
