"""Which model is meant: a path, a name found in $SEGKIT_MODELS, or the newest run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

from segkit.bundle import CARD, Bundle, read_bundle
from segkit.errors import InputError, UsageError
from segkit.file_names import natural_key

DEFAULT_FOLDER = "models"
LATEST = Path("runs") / "latest"
SUFFIX = ".segkit"


def resolve_model(name: str | PathLike[str] | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The path of a model.

    Without a name: $SEGKIT_MODEL, else the newest run. A name that is no path is looked for in the folders of
    $SEGKIT_MODELS (by default ``models`` in the current folder), with or without .segkit.

    Raises:
        UsageError: no name, and nothing to fall back on.
        InputError: no such model.
    """
    if name is None:
        name = environment.get("SEGKIT_MODEL") or _latest()
    path = Path(name)
    if path.exists():
        return path
    named = named_models(environment)
    if str(name) in named:
        return named[str(name)]
    near = get_close_matches(str(name), named, n=2) or list(named)[:5]
    raise InputError(
        name,
        expected="a model: a bundle or run folder, a .segkit file, or a name that 'segkit models' lists",
        found="neither such a path nor such a name",
        remedy=f"Did you mean {' or '.join(near)}?" if near else "Train one with 'segkit train dataset=...'.",
    )


def named_models(environment: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Models by name in the folders of $SEGKIT_MODELS; of equal names the first counts."""
    found: dict[str, Path] = {}
    for folder in environment.get("SEGKIT_MODELS", DEFAULT_FOLDER).split(os.pathsep):
        for path in _members(Path(folder)) if folder and Path(folder).is_dir() else ():
            found.setdefault(path.name.removesuffix(SUFFIX), path)
    return found


def read_models(path: str | PathLike[str]) -> list[Bundle]:
    """The bundle at ``path``, or the bundles inside a folder of several (an ensemble), in natural order.

    Raises:
        InputError: no bundle there, or one that cannot be read.
    """
    place = Path(path)
    if place.is_dir() and not _is_model(place):
        members = list(_members(place))
        if members:
            return [bundle for member in members for bundle in read_models(member)]
    return [read_bundle(place)]


def _members(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda each: natural_key(each.name)):
        if _is_model(path) or (path.is_dir() and any(_is_model(inner) for inner in path.iterdir())):
            yield path


def _is_model(path: Path) -> bool:
    if path.is_dir():
        return (path / CARD).is_file() or (path / "bundle" / CARD).is_file()
    return path.suffix == SUFFIX and path.is_file()


def _latest() -> Path:
    """The run that runs/latest names: a text file with its path, or the run itself."""
    if LATEST.is_file():
        return LATEST.parent / LATEST.read_text(encoding="utf-8").strip()
    if LATEST.is_dir():
        return LATEST
    raise UsageError(
        "no model was named. Give one with -m MODEL, or set $SEGKIT_MODEL; 'segkit train dataset=...' makes one."
    )
