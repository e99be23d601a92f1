"""ComBat against neuroCombat 0.2.12, whose results are stored in neurocombat.json.

They were computed once in an environment of their own (neuroCombat 0.2.12, numpy 1.26.4):

    neuroCombat(dat=data.T, covars=covars, batch_col="site", categorical_cols=["sex"],
                continuous_cols=["age"], **options)["data"].T

with the options {} (parametric), eb=False (no_shrinkage), mean_only=True (mean_only), and without
covariates.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.harmonization.combat import apply_combat, fit_combat

KNOWN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "neurocombat.json").read_text(encoding="utf-8")
)
DATA = np.array(KNOWN["data"])
NUMBERS = np.array([[sex == "M", age] for sex, age in zip(KNOWN["sex"], KNOWN["age"], strict=True)])
COVARIATES = NUMBERS.astype(float)
INDEX = ["abc".index(site) for site in KNOWN["site"]]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("parametric", {}),
        ("no_shrinkage", {"shrink": False}),
        ("mean_only", {"mean_only": True}),
    ],
)
def test_results_are_those_of_neurocombat(name: str, options: dict[str, bool]) -> None:
    fit = fit_combat(DATA, KNOWN["site"], COVARIATES, **options)
    done = apply_combat(fit, DATA, INDEX, COVARIATES)
    np.testing.assert_allclose(done, KNOWN[name], atol=1e-6)
    # The stored results are no copies of the input.
    assert np.abs(done - DATA).max() > 1


def test_results_without_covariates_are_those_of_neurocombat() -> None:
    fit = fit_combat(DATA, KNOWN["site"], COVARIATES[:, :0])
    done = apply_combat(fit, DATA, INDEX, COVARIATES[:, :0])
    np.testing.assert_allclose(done, KNOWN["no_covariates"], atol=1e-6)


def test_the_order_of_patients_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(DATA))
    sites = [KNOWN["site"][index] for index in order]
    fit = fit_combat(DATA[order], sites, COVARIATES[order])
    done = apply_combat(fit, DATA, INDEX, COVARIATES)
    np.testing.assert_allclose(done, KNOWN["parametric"], atol=1e-9)


def test_without_shrinkage_every_site_gets_mean_and_variance_of_all() -> None:
    # Site a has 0 and 2, site b 10 and 14: the common variance is (1 + 1 + 4 + 4) / 4 = 2.5, and
    # those of the sites are 0.8 and 3.2 times as large (with n - 1), so that both become
    # 6.5 - and + sqrt(2.5 / 2).
    data = np.array([[0.0], [2.0], [10.0], [14.0]])
    fit = fit_combat(data, list("aabb"), np.empty((4, 0)), shrink=False)
    done = apply_combat(fit, data, [0, 0, 1, 1], np.empty((4, 0)))
    half = np.sqrt(2.5 / 2)
    np.testing.assert_allclose(done.ravel(), [6.5 - half, 6.5 + half] * 2)


def test_new_patients_of_one_site_are_harmonized_and_unseen_sites_are_left() -> None:
    fit = fit_combat(DATA, KNOWN["site"], COVARIATES)
    done = apply_combat(fit, DATA[:3], [1, None, 1], COVARIATES[:3])
    assert np.array_equal(done[1], DATA[1])
    assert np.abs(done[[0, 2]] - DATA[[0, 2]]).min() > 0
    assert np.array_equal(done[:1], apply_combat(fit, DATA[:1], [1], COVARIATES[:1]))
