"""ComBat of a table: fitted to the cases of known sites, applied to new cases, stored as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.harmonization.combat import CombatFit, apply_combat, fit_combat
from segkit.harmonization.covariates import Covariate, covariate_of, design
from segkit.harmonization.measurements import Measurements

FORMAT_VERSION = 1
_CONSTANT = 1e-24
"""Share of the mean square below which the variance of a measurement is rounding alone."""


@dataclass(frozen=True, eq=False)
class CombatModel:
    """ComBat fitted to a table, with the names that its numbers belong to."""

    site_column: str
    sites: Mapping[str, int]
    """Number of training cases of each site, sorted by name."""
    features: tuple[str, ...]
    covariates: tuple[Covariate, ...]
    fit: CombatFit
    shrunk: bool
    left_features: Mapping[str, str] = field(default_factory=dict)
    """Measurements that are left as they are, and why."""
    left_cases: Mapping[str, str] = field(default_factory=dict)
    """Training cases that did not enter the fit, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Return the model in JSON types, without the cases that were left out."""
        numbers = {name: value.tolist() for name, value in dataclasses.asdict(self.fit).items()}
        return {
            "method": "combat",
            "format_version": FORMAT_VERSION,
            "site_column": self.site_column,
            "sites": dict(self.sites),
            "features": list(self.features),
            "covariates": [dataclasses.asdict(each) for each in self.covariates],
            "shrunk": self.shrunk,
            "left_features": dict(self.left_features),
            **numbers,
        }

    def text(self) -> str:
        """Return the content of the JSON file."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"


# -- fitting ---------------------------------------------------------------------------------------


def fit_table(
    table: Measurements,
    site_column: str,
    sites: Mapping[str, str],
    covariates: Mapping[str, Mapping[str, str]],
    *,
    shrink: bool = True,
    mean_only: bool = False,
    where: str | Path = "table",
) -> CombatModel:
    """Return ComBat fitted to the cases of a table.

    Cases without a site or covariate, cases that are alone at their site, and measurements that are
    constant or that a case lacks, are left out and named in the result.

    Args:
        table: the measurements of the training cases.
        site_column: name of the column of the sites.
        sites: site of each case.
        covariates: value of each covariate for each case.
        shrink: empirical Bayes over the measurements; not used for a single one.
        mean_only: fit locations only.
        where: the table, for messages.

    Raises:
        InputError: fewer than two sites or no measurement are left, or a covariate is confounded
            with the sites.
    """
    kept, left_cases = _usable(table.cases, sites, covariates)
    names = [sites[case] for case in kept]
    _require_sites(names, left_cases, where)
    # Of these cases only: a level that none of them has would have no effect to estimate.
    coded = [
        covariate_of(name, [values[case] for case in kept], where)
        for name, values in covariates.items()
    ]
    columns = design(coded, covariates, kept)
    places = {case: row for row, case in enumerate(table.cases)}
    rows = [places[case] for case in kept]
    effects = np.stack([columns[case] for case in kept])
    _check_confounding(names, effects, coded, where)
    data, left_features = table.values[rows], {}
    for index, feature in enumerate(table.features):
        if reason := _unusable(data[:, index], names, effects):
            left_features[feature] = reason
    features = tuple(name for name in table.features if name not in left_features)
    if not features:
        raise InputError(
            where,
            expected="a measurement that varies and that every case has",
            found="; ".join(f"{name}: {reason}" for name, reason in left_features.items()),
            remedy="Choose others with --features, or fill in the missing values.",
        )
    used = data[:, [table.features.index(name) for name in features]]
    shrunk = shrink and len(features) > 1
    fitted = fit_combat(used, names, effects, shrink=shrunk, mean_only=mean_only)
    counts = dict(sorted(Counter(names).items()))
    return CombatModel(
        site_column, counts, features, tuple(coded), fitted, shrunk, left_features, left_cases
    )


def _usable(
    cases: Sequence[str],
    sites: Mapping[str, str],
    covariates: Mapping[str, Mapping[str, str]],
) -> tuple[list[str], dict[str, str]]:
    """Return the cases that can be fitted, and the reason for each other one."""
    left = {}
    for case in cases:
        if case not in sites:
            left[case] = "no site"
        elif not all(values.get(case) for values in covariates.values()):
            left[case] = "no value of a covariate"
    counts = Counter(sites[case] for case in cases if case not in left)
    for case in cases:
        if case not in left and counts[sites[case]] < 2:
            left[case] = f"the only case of the site {sites[case]}"
    return [case for case in cases if case not in left], left


def _require_sites(names: Sequence[str], left: Mapping[str, str], where: str | Path) -> None:
    if len(set(names)) < 2:
        reasons = [f"{count} left out: {why}" for why, count in Counter(left.values()).items()]
        raise InputError(
            where,
            expected="two or more sites with two or more cases each",
            found="; ".join([", ".join(sorted(set(names))) or "none", *reasons]),
            remedy="With one site there is nothing to harmonize. Check the column of the sites.",
        )


def _check_confounding(
    names: Sequence[str],
    effects: NDArray[np.float64],
    covariates: Sequence[Covariate],
    where: str | Path,
) -> None:
    """Check that no covariate is a combination of the sites and the covariates before it."""
    members = np.array([[name == site for site in sorted(set(names))] for name in names], float)
    end = 0
    for covariate in covariates:
        end += len(covariate.levels) - 1 if covariate.levels else 1
        part = np.hstack([members, effects[:, :end]])
        # Columns of one size, so that a number such as an age in days does not decide the rank.
        scaled = part / np.maximum(np.abs(part).max(axis=0), 1e-300)
        if np.linalg.matrix_rank(scaled) < part.shape[1] or part.shape[1] >= len(names):
            raise InputError(
                where,
                expected="covariates whose effects can be told apart from those of the sites",
                found=f"{covariate.name}, which follows from the site or from the other covariates",
                remedy="Leave this covariate out, or add cases that break the tie.",
            )


def _unusable(values: NDArray[Any], names: Sequence[str], effects: NDArray[Any]) -> str:
    """Return why a measurement cannot be harmonized, or ""."""
    missing = int(np.isnan(values).sum())
    if missing:
        return f"missing in {missing} case{'s' if missing > 1 else ''}"
    if np.ptp(values) == 0:
        return f"{values[0]:g} in every case"
    members = np.array([[name == site for site in sorted(set(names))] for name in names], float)
    part = np.hstack([members, effects])
    residual = values - part @ np.linalg.lstsq(part, values, rcond=None)[0]
    if np.square(residual).mean() <= _CONSTANT * np.square(values).mean():
        return "constant at every site, given the covariates"
    return ""


# -- applying --------------------------------------------------------------------------------------


def apply_table(
    model: CombatModel,
    table: Measurements,
    sites: Mapping[str, str],
    covariates: Mapping[str, Mapping[str, str]],
) -> tuple[NDArray[np.float64], dict[str, str]]:
    """Return the harmonized values (N, F) of a table, and why some cases are left as they are.

    Features and covariates are matched by name; their order does not count. A value that is missing
    stays missing.

    Args:
        model: the fitted ComBat.
        table: the measurements of new or training cases.
        sites: site of each case.
        covariates: value of each covariate of the model for each case.
    """
    columns = design(model.covariates, covariates, table.cases)
    known = {name: index for index, name in enumerate(model.sites)}
    left = {}
    for case in table.cases:
        site = sites.get(case)
        if site not in known:
            left[case] = f"unseen site {site}" if site else "no site"
        elif case not in columns:
            left[case] = "no usable value of a covariate"
    shared = [name for name in model.features if name in table.features]
    data = np.full((len(table.cases), len(model.features)), np.nan)
    for name in shared:
        data[:, model.features.index(name)] = table.values[:, table.features.index(name)]
    width = len(model.fit.effects)
    effects = np.stack([columns.get(case, np.zeros(width)) for case in table.cases])
    index = [None if case in left else known[sites[case]] for case in table.cases]
    harmonized = apply_combat(model.fit, data, index, effects)
    result = table.values.copy()
    for name in shared:
        result[:, table.features.index(name)] = harmonized[:, model.features.index(name)]
    return result, left
