"""Text and numbers of small files in /proc, /sys and /etc."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")
"""Folder that holds /proc, /sys and /etc of this machine."""


def text_of(path: Path) -> str:
    """Return the text of a file, or "" if it does not exist or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def number_in(path: Path) -> int | None:
    """Return the whole number that a file consists of, or None if it has none (such as "max")."""
    try:
        return int(text_of(path))
    except ValueError:
        return None


def fields_of(path: Path, separator: str = ":") -> dict[str, str]:
    """Return the lines ``name: value`` of a file; of equal names, the first."""
    fields: dict[str, str] = {}
    for line in text_of(path).splitlines():
        name, _, value = line.partition(separator)
        fields.setdefault(name.strip(), value.strip())
    return fields


def number_field(fields: dict[str, str], name: str) -> int | None:
    """Return the number at the beginning of a value, such as 5 of ``5 kB``; None without one."""
    first = fields.get(name, "").split()[:1]
    return int(first[0]) if first and first[0].isdigit() else None
