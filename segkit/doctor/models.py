"""Models that are found by name, or given by -m: are they complete, and as they were written?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.bundle.archive import member_size, read_member
from segkit.bundle.card import ModelCard, open_card
from segkit.bundle.lookup import (
    LATEST,
    closed_folders,
    ensemble_paths,
    named_models,
    resolve_model,
)
from segkit.bundle.private_paths import last_part
from segkit.doctor.private_text import without_folders
from segkit.doctor.problem import Problem
from segkit.errors import InputError, OutOfMemoryError, SegkitError, UsageError, printable

COPY = "The model is damaged or was changed: copy or export it again."


@dataclass(frozen=True)
class FoundModel:
    """A model, or an ensemble, and what is wrong with it."""

    name: str
    """Name that -m takes, without folders."""
    is_named: bool
    """True if the name is all that -m needs, and False if it was given with folders."""
    path: Path | None
    """None if there is no such model."""
    is_default: bool
    """True if predict takes it without -m."""
    cards: tuple[ModelCard, ...]
    """Descriptions of its members; none if it cannot be used."""
    are_hashed: bool
    """True if the bytes of the weights were read and compared with their hashes."""
    problem: Problem | None


def found_models(
    wanted: Sequence[str], environment: Mapping[str, str], *, hashed: bool
) -> list[FoundModel]:
    """Return the wanted models; without any, the default model and all that have a name.

    Args:
        wanted: models as -m takes them.
        environment: environment variables.
        hashed: compare the weights with their hashes, for which they are read.
    """
    default = None if wanted else _default(environment)
    found = [] if default is None else [default]
    others = wanted or list(named_models(environment))
    found += [_named(name, environment) for name in others if not default or name != default.name]
    closed = [] if wanted else [_closed(path.name) for path in closed_folders(environment)]
    return [_examined(model, hashed=hashed) for model in found] + closed


def _closed(name: str) -> FoundModel:
    """Return something in a folder of models that this user may not open: perhaps a model."""
    found = FoundModel(printable(name), False, None, False, (), False, None)
    return replace(found, problem=replace(_refused(found.name), severity="warning"))


def _refused(name: str, found: str = "permission denied") -> Problem:
    remedy = "Change its permissions, if it is a model that this user needs."
    return Problem("error", "model", f"model {name}", "files that can be read", found, remedy)


def _default(environment: Mapping[str, str]) -> FoundModel | None:
    name = environment.get("SEGKIT_MODEL") or str(LATEST)
    if not environment.get("SEGKIT_MODEL"):
        try:
            resolve_model(None, environment)
        except UsageError:  # there is no run
            return None
        except InputError:  # the newest run was removed
            pass
        except OSError:  # the folder of the runs is closed, which is a problem of its own
            return None
    return _named(name, environment, is_default=True)


def _named(name: str, environment: Mapping[str, str], *, is_default: bool = False) -> FoundModel:
    shown = name if name == str(LATEST) else last_part(name)
    # A name that starts with a dash, or is shown in another way than it is typed, needs a folder.
    is_named = printable(shown) == name and not name.startswith("-")
    found = FoundModel(printable(shown), is_named, None, is_default, (), False, None)
    try:
        return replace(found, path=resolve_model(name, environment))
    except (SegkitError, OSError) as error:
        return unusable(found, error)


def _examined(model: FoundModel, *, hashed: bool) -> FoundModel:
    if model.path is None:
        return model
    try:
        cards = tuple(open_card(member) for member in ensemble_paths(model.path))
        for card in cards:
            _check_weights(card, hashed=hashed)
    except (SegkitError, OSError) as error:
        return unusable(model, error)
    return replace(model, cards=cards, are_hashed=hashed)


def _check_weights(card: ModelCard, *, hashed: bool) -> None:
    """Raise an InputError if a file of weights is missing, or differs from what is recorded."""
    for name in card.card["weights"].values():
        receipt = card.card["files"][name]
        if hashed:
            read_member(card.path, name, receipt)
            continue
        size = member_size(card.path, name)
        if size != receipt["bytes"]:
            found = "no such file" if size is None else f"{size} bytes"
            raise InputError(
                card.path / name,
                expected=f"{receipt['bytes']} bytes of weights",
                found=found,
                remedy=COPY,
            )


def unusable(model: FoundModel, error: SegkitError | OSError) -> FoundModel:
    """Return a model with the problem that an error about it means.

    It is a warning for the newest run: a training that has not finished has no model yet, and only
    a prediction without -m needs it.
    """
    problem = model_problem(model.name, error)
    is_newest = model.is_default and model.name == str(LATEST)
    return replace(model, problem=replace(problem, severity="warning") if is_newest else problem)


def model_problem(name: str, error: SegkitError | OSError) -> Problem:
    """Return the problem that an error about a model means, without the folders in its message."""
    if isinstance(error, OSError):
        return _refused(name, (error.strerror or str(error)).lower())
    if isinstance(error, InputError):
        file = printable(last_part(error.where))
        where = f"model {name}" if file in (name, "") else f"model {name}, {file}"
        expected, found, remedy = error.expected, error.found, error.remedy
    else:
        where, expected, remedy = f"model {name}", "a model that can be used", COPY
        found = f"the message: {error}"
        if isinstance(error, OutOfMemoryError):
            remedy = "Use a machine with more memory, or raise the limit of the container or job."
    return Problem("error", "model", where, expected, without_folders(found), remedy)


def model_problems(models: Sequence[FoundModel]) -> Iterator[Problem]:
    """Yield what is wrong with each model, and a note if there is none."""
    if not models:
        yield Problem(
            "note",
            "model",
            "models",
            "a model in a folder of $SEGKIT_MODELS, $SEGKIT_MODEL, or a run",
            "none",
            "Give predict -m PATH, or train a model with segkit train.",
        )
    yield from (model.problem for model in models if model.problem)
