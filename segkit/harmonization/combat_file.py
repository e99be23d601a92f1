"""Reading of a ComBat model of a table; every number is checked."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import InputError
from segkit.files.json_file import read_json
from segkit.harmonization.combat import CombatFit
from segkit.harmonization.combat_model import FORMAT_VERSION, CombatModel
from segkit.harmonization.covariates import Covariate

EXPECTED = "a ComBat model of a table as JSON"
REMEDY = "'segkit harmonize fit TABLE --method combat -o FILE' writes one."


def read_combat(path: str | Path) -> CombatModel:
    """Read and check a ComBat model.

    Raises:
        InputError: the file is not one, or a number in it is missing, not finite or not positive
            where it must be.
    """
    content = read_json(path, expected=EXPECTED, remedy=REMEDY)
    if content.get("method") != "combat" or content.get("format_version") != FORMAT_VERSION:
        raise InputError(
            path,
            expected=f"{EXPECTED} with format_version {FORMAT_VERSION}",
            found=f"method {content.get('method')!r}, {content.get('format_version')!r}",
            remedy=f"Update segkit if a newer one wrote it. {REMEDY}",
        )
    try:
        model = _built(content)
        problem = _problem(model)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        found = f"{type(error).__name__}: {error}"
        raise InputError(path, expected=EXPECTED, found=found, remedy=REMEDY) from error
    if problem:
        raise InputError(path, expected="numbers that can be used", found=problem, remedy=REMEDY)
    return model


def _built(content: dict[str, Any]) -> CombatModel:
    covariates = tuple(
        Covariate(str(each["name"]), tuple(map(str, each["levels"])))
        for each in content["covariates"]
    )
    numbers = {
        each.name: np.array(content[each.name], dtype=np.float64)
        for each in dataclasses.fields(CombatFit)
    }
    features = tuple(map(str, content["features"]))
    numbers["effects"] = numbers["effects"].reshape(-1, len(features))
    return CombatModel(
        str(content["site_column"]),
        {str(name): int(count) for name, count in content["sites"].items()},
        features,
        covariates,
        CombatFit(**numbers),
        bool(content["shrunk"]),
        {str(name): str(why) for name, why in content["left_features"].items()},
    )


def _problem(model: CombatModel) -> str:
    """Return what makes the numbers unusable, or ""."""
    features, sites, fit = len(model.features), len(model.sites), model.fit
    width = sum(max(0, len(each.levels) - 1) if each.levels else 1 for each in model.covariates)
    shapes = {
        "means": (features,),
        "variances": (features,),
        "effects": (width, features),
        "locations": (sites, features),
        "scales": (sites, features),
    }
    for name, shape in shapes.items():
        numbers = getattr(fit, name)
        if numbers.shape != shape:
            return f"{name} of shape {numbers.shape} instead of {shape}"
        if not np.isfinite(numbers).all():
            return f"{name} that are not finite"
        if name in ("variances", "scales") and not (numbers > 0).all():
            return f"{name} that are not positive"
    return "" if features and sites > 1 else "no features, or fewer than two sites"
