"""ComBat of tables: what is left as it is, new patients, and the JSON file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.harmonization.combat_file import read_combat
from segkit.harmonization.combat_model import CombatModel, apply_table, fit_table
from segkit.harmonization.covariates import covariate_of
from segkit.harmonization.measurements import Measurements

KNOWN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "neurocombat.json").read_text(encoding="utf-8")
)
CASES = tuple(f"p{number}" for number in range(len(KNOWN["site"])))
SITES = dict(zip(CASES, KNOWN["site"], strict=True))
COVARIATES = {
    "age": dict(zip(CASES, map(str, KNOWN["age"]), strict=True)),
    "sex": dict(zip(CASES, KNOWN["sex"], strict=True)),
}
DATA = np.array(KNOWN["data"])


def table(values: Any = DATA, cases: tuple[str, ...] = CASES) -> Measurements:
    features = tuple(f"f{index}" for index in range(np.shape(values)[1]))
    return Measurements(cases, features, np.array(values, dtype=float), {})


def fitted(measured: Measurements | None = None, **changes: Any) -> CombatModel:
    arguments = {"sites": SITES, "covariates": COVARIATES} | changes
    return fit_table(measured or table(), "site", **arguments)


def test_a_table_gives_the_numbers_of_neurocombat() -> None:
    values, left = apply_table(fitted(), table(), SITES, COVARIATES)
    np.testing.assert_allclose(values, KNOWN["parametric"], atol=1e-6)
    assert left == {}


def test_a_patient_alone_at_a_site_is_named_and_left(tmp_path: Path) -> None:
    """With neuroCombat 0.2.12 every value of every patient becomes nan."""
    sites = SITES | {"p0": "alone"}
    model = fitted(sites=sites)
    assert model.left_cases == {"p0": "the only case of the site alone"}
    values, left = apply_table(model, table(), sites, COVARIATES)
    assert np.isfinite(values).all()
    assert left == {"p0": "unseen site alone"}
    assert np.array_equal(values[0], DATA[0])
    others = table(DATA[1:], CASES[1:])
    np.testing.assert_array_equal(
        values[1:], apply_table(fitted(others), others, SITES, COVARIATES)[0]
    )


@pytest.mark.parametrize("constant", [0.0, 5.3])
def test_a_constant_measurement_is_named_and_left(constant: float) -> None:
    """With neuroCombat 0.2.12 other measurements move; neuroHarmonize 2.5.2 makes all nan."""
    values = np.hstack([DATA, np.full((len(DATA), 1), constant)])
    model = fitted(table(values))
    assert model.left_features == {"f5": f"{constant:g} in every case"}
    done = apply_table(model, table(values), SITES, COVARIATES)[0]
    np.testing.assert_allclose(done[:, :5], KNOWN["parametric"], atol=1e-6)
    assert (done[:, 5] == constant).all()


def test_what_is_constant_at_every_site_or_missing_is_left_too() -> None:
    extra = [[{"a": 0.1, "b": 0.2, "c": 0.3}[site], 1.0] for site in KNOWN["site"]]
    values = np.hstack([DATA, extra])
    values[3, 6] = math.nan
    assert fitted(table(values)).left_features == {
        "f5": "constant at every site, given the covariates",
        "f6": "missing in 1 case",
    }


def test_one_measurement_is_not_shrunk() -> None:
    model = fitted(table(DATA[:, :1]))
    assert not model.shrunk
    done = apply_table(model, table(DATA[:, :1]), SITES, COVARIATES)[0]
    np.testing.assert_allclose(done[:, 0], np.array(KNOWN["no_shrinkage"])[:, 0], atol=1e-6)


def test_new_patients_are_matched_by_name_and_need_not_come_from_every_site() -> None:
    model = fitted()
    expected = np.array(KNOWN["parametric"])
    chosen = [10, 11]  # both from site b
    turned = Measurements(
        tuple(CASES[index] for index in chosen), ("f3", "f0"), DATA[np.ix_(chosen, [3, 0])], {}
    )
    swapped = {"sex": COVARIATES["sex"], "age": COVARIATES["age"]}
    values, left = apply_table(model, turned, SITES, swapped)
    np.testing.assert_allclose(values, expected[np.ix_(chosen, [3, 0])], atol=1e-6)
    assert left == {}


def test_unseen_sites_and_levels_and_missing_values_are_left() -> None:
    sites = SITES | {"p0": "new", "p1": ""}
    covariates = {
        "age": COVARIATES["age"] | {"p2": "old"},
        "sex": COVARIATES["sex"] | {"p3": "X"},
    }
    values, left = apply_table(fitted(), table(), sites, covariates)
    assert left == {
        "p0": "unseen site new",
        "p1": "no site",
        "p2": "no usable value of a covariate",
        "p3": "no usable value of a covariate",
    }
    assert np.array_equal(values[:4], DATA[:4])
    np.testing.assert_allclose(values[4:], KNOWN["parametric"][4:], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"sites": dict.fromkeys(CASES, "a")}, "expected two or more sites"),
        ({"sites": {}}, "found none; 24 left out: no site"),
        ({"covariates": {"age": {}}}, "found none; 24 left out: no value of a covariate"),
        ({"covariates": {"age": COVARIATES["age"] | {"p0": "nan", "p3": "old"}}},
         "numbers only, or names only, in the column age, found 22 numbers, and 'nan', 'old'"),
        ({"covariates": {"site2": SITES}}, "found site2, which follows"),
        ({"covariates": COVARIATES | {"days": {k: str(365 * int(v)) for k, v in
                                               COVARIATES["age"].items()}}}, "found days"),
    ],
)  # fmt: skip
def test_what_cannot_be_estimated_is_refused(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(InputError, match=found):
        fitted(**changes)


def test_a_category_of_a_case_that_is_left_out_is_no_level() -> None:
    covariates = {"sex": COVARIATES["sex"] | {"p0": "X"}}
    model = fitted(sites=SITES | {"p0": "alone"}, covariates=covariates)
    assert model.covariates[0].levels == ("F", "M")


def test_no_measurement_is_refused() -> None:
    with pytest.raises(InputError, match="f0: 1 in every case"):
        fitted(table(np.ones((len(CASES), 1))))


def test_numbers_that_look_like_codes_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert covariate_of("diagnosis", ["0", "1", "2", "1"]).levels == ()
    assert "diagnosis has only the numbers 0, 1, 2" in caplog.text
    assert covariate_of("stage", ["II", "I", "II"]).levels == ("I", "II")


# -- the file --------------------------------------------------------------------------------------


def test_the_file_gives_the_same_numbers(tmp_path: Path) -> None:
    model = fitted()
    (tmp_path / "combat.json").write_text(model.text(), encoding="utf-8")
    read = read_combat(tmp_path / "combat.json")
    assert read.text() == model.text()
    one, other = (apply_table(each, table(), SITES, COVARIATES)[0] for each in (model, read))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("method", "spline", "method 'spline'"),
        ("format_version", 9, "'combat', 9"),
        ("means", [1.0], r"means of shape \(1,\)"),
        ("variances", [0.0] * 5, "variances that are not positive"),
        ("scales", [[float("nan")] * 5] * 3, "scales that are not finite"),
        ("features", [], "ValueError"),
        ("sites", {"a": 9}, "locations of shape"),
        ("covariates", None, "TypeError"),
        ("sites", {"a": float("inf")}, "OverflowError"),
        ("means", [10**400], "OverflowError"),
    ],
)
def test_other_files_are_refused(key: str, value: Any, found: str, tmp_path: Path) -> None:
    path = tmp_path / "combat.json"
    path.write_text(json.dumps(fitted().to_dict() | {key: value}), encoding="utf-8")
    with pytest.raises(InputError, match=found):
        read_combat(path)
