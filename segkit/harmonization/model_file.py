"""Reading and writing of a fitted harmonization as JSON; every number is checked when read."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.files.json_file import read_json
from segkit.harmonization.methods import METHODS
from segkit.harmonization.model import (
    FORMAT_VERSION,
    TAGS,
    ChannelModel,
    GroupCurve,
    Grouping,
    Harmonization,
    Mixture,
)

SOURCES = ("none", "table", "dicom", "intensities")
"""Ways to find the group of a scan; see `Grouping`."""
EXPECTED = "a harmonization of scans as JSON"
REMEDY = "'segkit harmonize fit DATASET -o FILE' writes one."


def harmonization_text(model: Harmonization) -> str:
    """Return the content of the file; equal harmonizations have equal texts."""
    return json.dumps(model.to_dict(), indent=2, ensure_ascii=False) + "\n"


def write_harmonization(path: str | Path, model: Harmonization) -> None:
    """Write a harmonization as JSON, atomically."""
    write_text(path, harmonization_text(model))


def read_harmonization(path: str | Path) -> Harmonization:
    """Read and check a harmonization of scans.

    Raises:
        InputError: the file cannot be read, is not a harmonization of scans or of a newer format,
            or a number in it is not finite, not monotone or missing.
    """
    return harmonization_of(read_json(path, expected=EXPECTED, remedy=REMEDY), path)


def harmonization_of(content: dict[str, Any], where: str | Path) -> Harmonization:
    """Return the harmonization in ``content``, checked; ``where`` names the file in messages.

    Raises:
        InputError: as `read_harmonization`.
    """
    _check_version(content, where)
    try:
        model = _built(content)
        problem = next(_problems(model), None)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        found = f"{type(error).__name__}: {error}"
        raise InputError(where, expected=EXPECTED, found=found, remedy=REMEDY) from error
    if problem:
        raise InputError(where, expected="numbers that can be used", found=problem, remedy=REMEDY)
    return model


def _check_version(content: dict[str, Any], where: str | Path) -> None:
    version = content.get("format_version")
    if content.get("method") == "combat":
        raise InputError(
            where,
            expected=EXPECTED,
            found="a ComBat model of a table",
            remedy="Give a table to apply it to, or fit another method to the scans.",
        )
    if version != FORMAT_VERSION:
        raise InputError(
            where,
            expected=f"{EXPECTED} with format_version {FORMAT_VERSION}",
            found=repr(version),
            remedy=f"Fit it again, or update segkit if a newer one wrote it. {REMEDY}",
        )


def _built(content: dict[str, Any]) -> Harmonization:
    grouping = dict(content["grouping"])
    grouping["tags"] = tuple(grouping["tags"])
    if grouping["mixture"] is not None:
        grouping["mixture"] = _mixture(**grouping["mixture"])
    changed = {
        "channels": tuple(_channel(**channel) for channel in content["channels"]),
        **{name: str(content.get(name, "")) for name in ("cases", "images", "groups")},
        "scans": {str(name): int(count) for name, count in content["scans"].items()},
        "grouping": Grouping(**grouping),
    }
    return Harmonization(**{**content, **changed})


def _channel(name: str, target: Sequence[float], groups: dict[str, Any]) -> ChannelModel:
    curves = {group: _group_curve(**curve) for group, curve in groups.items()}
    return ChannelModel(name, _numbers(target), curves)


def _group_curve(scans: int, weight: float, quantiles: Sequence[float]) -> GroupCurve:
    return GroupCurve(int(scans), float(weight), _numbers(quantiles))


def _mixture(names: Any, weights: Any, means: Any, covariances: Any) -> Mixture:
    matrices = tuple(tuple(_numbers(row) for row in matrix) for matrix in covariances)
    rows = tuple(_numbers(row) for row in means)
    return Mixture(tuple(map(str, names)), _numbers(weights), rows, matrices)


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


# -- what may not be -------------------------------------------------------------------------------


def _problems(model: Harmonization) -> Iterator[str]:
    """Yield what makes a harmonization unusable."""
    if model.method not in METHODS:
        yield f"method {model.method!r}; there are {', '.join(METHODS)}"
        return
    if not model.channels:
        yield "no channel"
    for channel in model.channels:
        yield from _channel_problems(channel, model)
    if model.grouping.source not in SOURCES:
        yield f"grouping {model.grouping.source!r}; there are {', '.join(SOURCES)}"
    unknown = [tag for tag in model.grouping.tags if tag not in TAGS]
    if unknown:
        yield f"the DICOM attribute {unknown[0]!r}; there are {', '.join(TAGS)}"
    if (model.grouping.source == "intensities") != (model.grouping.mixture is not None):
        yield "a mixture without groups from intensities, or the reverse"
    elif model.grouping.mixture is not None:
        yield from _mixture_problems(model.grouping.mixture, 2 * len(model.channels))


def _channel_problems(channel: ChannelModel, model: Harmonization) -> Iterator[str]:
    size = len(METHODS[model.method].probabilities)
    yield from _curve_problems(f"{channel.name}: target", channel.target, size)
    for group, curve in channel.groups.items():
        yield from _curve_problems(f"{channel.name}: {group}", curve.quantiles, size)
        if not 0 <= curve.weight <= 1:
            yield f"{channel.name}: {group} has the weight {curve.weight}"
        if group not in model.scans:
            yield f"{channel.name}: {group} is not among the groups {', '.join(model.scans)}"
    if METHODS[model.method].needs_groups:
        if not channel.groups:
            yield f"{channel.name}: no groups"
        missing = [group for group in model.scans if group not in channel.groups]
        if missing:
            yield f"{channel.name}: no curve of {missing[0]}"


def _curve_problems(where: str, curve: Sequence[float], size: int) -> Iterator[str]:
    if len(curve) != size:
        yield f"{where} has {len(curve)} numbers instead of {size}"
    elif not all(map(math.isfinite, curve)):
        yield f"{where} has a number that is not finite"
    elif any(later < earlier for earlier, later in itertools.pairwise(curve)):
        yield f"{where} falls"


def _mixture_problems(mixture: Mixture, size: int) -> Iterator[str]:
    groups = len(mixture.names)
    shapes = (
        np.shape(mixture.weights) == (groups,)
        and np.shape(mixture.means) == (groups, size)
        and np.shape(mixture.covariances) == (groups, size, size)
    )
    if not groups or not shapes:
        yield "a mixture with numbers missing"
    elif not all(np.isfinite(part).all() for part in (mixture.means, mixture.covariances)):
        yield "a mixture with a number that is not finite"
    elif not all(0 < weight <= 1 for weight in mixture.weights):
        yield "a mixture with a weight that is not between 0 and 1"
    elif not all(_is_covariance(np.array(matrix)) for matrix in mixture.covariances):
        yield "a mixture with a covariance that is none"


def _is_covariance(matrix: Any) -> bool:
    return bool(np.allclose(matrix, matrix.T) and np.linalg.eigvalsh(matrix).min() > 0)
