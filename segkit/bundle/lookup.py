"""Find a model by path, by name in $SEGKIT_MODELS, or as the newest run, without opening it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

from segkit.errors import InputError, UsageError
from segkit.files.names import CARD, STUDY, natural_key

DEFAULT_FOLDER = "models"
LATEST = Path("runs") / "latest"
SUFFIX = ".segkit"
_UNNAMED = (
    "no model was named. Give one with -m MODEL, or set $SEGKIT_MODEL; 'segkit train dataset=...'"
    " makes one."
)


def resolve_model(
    name: str | PathLike[str] | None = None, environment: Mapping[str, str] = os.environ
) -> Path:
    """Return the path of a model.

    Args:
        name: a path, or the name of a model in the folders of $SEGKIT_MODELS (by default ``models``
            in the current folder), with or without .segkit. None for $SEGKIT_MODEL, otherwise the
            newest run.
        environment: environment variables.

    Raises:
        UsageError: no name was given, and there is no $SEGKIT_MODEL and no run.
        InputError: no such model.
    """
    if name is None:
        name = environment.get("SEGKIT_MODEL") or _latest()
    if not str(name):
        raise UsageError(_UNNAMED)
    path = Path(name)
    if path.is_file() and path.name == LATEST.name:
        name = path = _named_in(path)
    if path.exists():
        return path
    named = named_models(environment)
    plain = str(name).removesuffix(SUFFIX)
    if plain in named:
        return named[plain]
    for path in closed_folders(environment):
        if plain == path.name.removesuffix(SUFFIX):
            raise InputError(
                path,
                expected="a model that this user may open",
                found="permission denied",
                remedy="Change the permissions of the model.",
            )
    near = get_close_matches(plain, named, n=2) or list(named)[:5]
    raise InputError(
        name,
        expected="a model: a bundle or run folder, a .segkit file, or a name that 'segkit models'"
        " lists",
        found="neither such a path nor such a name",
        remedy=f"Did you mean {' or '.join(near)}?"
        if near
        else "Train one with 'segkit train dataset=...'.",
    )


def named_models(environment: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Return the models in the folders of $SEGKIT_MODELS by name; the first of a name counts."""
    return _search(environment)[0]


def closed_folders(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return what is in the folders of $SEGKIT_MODELS and may not be opened by this user."""
    return _search(environment)[1]


def _search(environment: Mapping[str, str]) -> tuple[dict[str, Path], list[Path]]:
    models: dict[str, Path] = {}
    closed = []
    for folder in environment.get("SEGKIT_MODELS", DEFAULT_FOLDER).split(os.pathsep):
        # os.path.isdir is False, and no error, for a folder that is out of reach.
        for path in _in_order(Path(folder)) if os.path.isdir(folder) else ():
            try:
                if _is_or_holds_model(path):
                    models.setdefault(path.name.removesuffix(SUFFIX), path)
            except PermissionError:
                closed.append(path)
    return models, closed


def model_name(path: Path) -> str:
    """Return the name by which ``-m`` finds a model whose folder is in $SEGKIT_MODELS.

    >>> model_name(Path("models/spleen.segkit")), model_name(Path("models/v2.1"))
    ('spleen', 'v2.1')
    """
    return Path(os.path.abspath(path)).name.removesuffix(SUFFIX)


def models_in(folder: Path) -> Iterator[Path]:
    """Yield the models, and folders of models, directly inside ``folder``, in natural order."""
    yield from filter(_is_or_holds_model, _in_order(folder))


def _in_order(folder: Path) -> list[Path]:
    return sorted(_inside(folder), key=lambda path: natural_key(path.name))


def _is_or_holds_model(path: Path) -> bool:
    return is_model(path) or any(is_model(inner) for inner in _inside(path))


def ensemble_paths(path: Path) -> list[Path]:
    """Return the models of an ensemble, in natural order.

    This is the model at ``path`` itself, or all models inside a folder; ``path`` if there is none.

    Raises:
        InputError: the folder of a study without a model of its own: its trainings are arms of a
            comparison, or rounds of an unfinished pruning, and no ensemble.
    """
    if (path / STUDY).is_file() and not is_model(path):
        raise InputError(
            path,
            expected="a model, or a folder of models",
            found="a study, whose trainings are no ensemble",
            remedy="Give the folder of one of its trainings.",
        )
    inside = models_in(path) if path.is_dir() and not is_model(path) else ()
    return [model for folder in inside for model in ensemble_paths(folder)] or [path]


def _inside(path: Path) -> list[Path]:
    """Return the content of a folder; nothing if it is not a folder or not readable."""
    try:
        return list(path.iterdir()) if path.is_dir() else []
    except PermissionError:
        return []


def is_model(path: Path) -> bool:
    """Return whether ``path`` is a bundle folder, a run folder with a bundle, or a .segkit file."""
    if path.is_dir():
        return (path / CARD).is_file() or (path / "bundle" / CARD).is_file()
    return path.suffix == SUFFIX and path.is_file()


def _latest() -> Path:
    """Return the run that runs/latest names: a text file with its path, or the run itself."""
    if LATEST.is_file():
        return _named_in(LATEST)
    if LATEST.is_dir():
        return LATEST
    raise UsageError(_UNNAMED)


def _named_in(latest: Path) -> Path:
    return latest.parent / latest.read_text(encoding="utf-8", errors="replace").strip()
