"""Models that are found by name, or given by -m: are they complete, and as they were written?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.bundle.archive import member_size, read_member
from segkit.bundle.card import ModelCard, open_card
from segkit.bundle.lookup import LATEST, ensemble_paths, named_models, resolve_model
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
    return [_examined(model, hashed=hashed) for model in found]


def _default(environment: Mapping[str, str]) -> FoundModel | None:
    name = environment.get("SEGKIT_MODEL") or str(LATEST)
    if not environment.get("SEGKIT_MODEL"):
        try:
            resolve_model(None, environment)
        except UsageError:  # there is no run
            return None
        except InputError:  # the newest run was removed
            pass
    return _named(name, environment, is_default=True)


def _named(name: str, environment: Mapping[str, str], *, is_default: bool = False) -> FoundModel:
    shown = name if name == str(LATEST) else last_part(name)
    found = FoundModel(printable(shown), shown == name, None, is_default, (), False, None)
    try:
        return replace(found, path=resolve_model(name, environment))
    except SegkitError as error:
        problem = model_problem(found.name, error)
        if name == str(LATEST):  # a run that was removed stops a prediction without -m only
            problem = replace(problem, severity="warning")
        return replace(found, problem=problem)


def _examined(model: FoundModel, *, hashed: bool) -> FoundModel:
    if model.path is None:
        return model
    try:
        cards = tuple(open_card(member) for member in ensemble_paths(model.path))
        for card in cards:
            _check_weights(card, hashed=hashed)
    except SegkitError as error:
        return replace(model, problem=model_problem(model.name, error))
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


def model_problem(name: str, error: SegkitError) -> Problem:
    """Return the problem that an error about a model means, without the folders in its message."""
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
