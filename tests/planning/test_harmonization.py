"""Harmonization of a plan: fitted to the training cases only, or read from a file of theirs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segkit.commands import harmonize
from segkit.config.checks import check_effects, check_value
from segkit.config.keys import put
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.split import split_cases
from segkit.errors import InputError, UsageError
from segkit.planning.groups import folds_reason, patients_of, with_groups_and_folds
from segkit.planning.harmonization import check_cases, harmonized_plan
from segkit.planning.plan_table import decided_rows
from segkit.plans.plan import ChannelPlan, NetworkPlan, Plan
from segkit.plans.plan_file import plan_from_dict, plan_text

PLAN = Plan(
    name="p",
    dims=3,
    slice_axis=None,
    channels=(ChannelPlan("CT", "ct", -100, 300, 50, 25),),
    labels={"organ": 1},
    spacing=(1.0, 1.0, 1.0),
    unit="mm",
    patch=(8, 8, 8),
    batch_size=1,
    mirror_axes=(),
    crop_to_content=True,
    network=NetworkPlan("unet", "relu", (), ()),
)


def voxels(number: int) -> Any:
    """Cases with odd numbers are brighter by a factor of 40."""
    return np.random.default_rng(number).random((6, 6, 6)) * (40 if number % 2 else 1)


@pytest.fixture
def data(write_case: Callable[..., Case], tmp_path: Path) -> Dataset:
    """Ten cases of the groups A and B, on disk."""
    cases = [
        write_case(f"c{i}", voxels(i), np.eye(6)[None] * np.ones((6, 6, 6))) for i in range(10)
    ]
    grouped = [dataclasses.replace(case, group="AB"[i % 2]) for i, case in enumerate(cases)]
    return Dataset("d", tmp_path, ("CT",), {"organ": 1}, tuple(grouped))


def settings(*words: str) -> TrainConfig:
    config = TrainConfig()
    for word in words:
        key, _, value = word.partition("=")
        put(config, key, int(value) if value.isdecimal() else value)
    return config


def fitted(data: Dataset, *words: str) -> Plan:
    return harmonized_plan(PLAN, data, settings(*words))


def rewrite(case: Case, array: Any) -> None:
    nibabel.save(nibabel.Nifti1Image(np.asarray(array, np.float32), np.eye(4)), case.images[0])


def test_only_training_cases_are_in_the_plan(data: Dataset) -> None:
    before = plan_text(fitted(data, "plan.harmonization=spline"))
    split = split_cases(data, 0)
    for case in split.validation:
        case.images[0].write_bytes(b"no image at all")
    assert plan_text(fitted(data, "plan.harmonization=spline")) == before
    rewrite(split.training[0], voxels(77) ** 3)
    assert plan_text(fitted(data, "plan.harmonization=spline")) != before


def test_the_groups_of_the_dataset_or_those_of_the_intensities(data: Dataset) -> None:
    found = fitted(data, "plan.harmonization=spline").harmonization
    assert found is not None
    assert (found["scans"], found["grouping"]["source"]) == ({"A": 4, "B": 4}, "table")
    without = with_groups_and_folds(
        data, settings("dataset.groups=intensities", "plan.harmonization=spline")
    )
    discovered = fitted(without, "plan.harmonization=spline").harmonization
    assert discovered is not None
    assert discovered["grouping"]["source"] == "intensities"
    plain = fitted(data, "plan.harmonization=nyul").harmonization
    assert plain is not None
    assert plain["grouping"]["source"] == "none"


@pytest.mark.parametrize("source", ["dicom", "groups.csv"])
def test_groups_that_are_asked_for_are_not_replaced_by_intensities(
    data: Dataset, tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("groups.csv").write_text("case,group\n" + "".join(f"{c.id},\n" for c in data.cases))
    words = ("plan.harmonization=spline", f"dataset.groups={source}")
    with pytest.raises(InputError, match=r"the group of the training cases, found (none|only emp)"):
        fitted(with_groups_and_folds(data, settings(*words)), *words)


def test_harmonized_values_are_no_ct_values(data: Dataset) -> None:
    plan = fitted(data, "plan.harmonization=zscore")
    assert plan.channels == (ChannelPlan("CT", "zscore"),)
    assert "no CT values" in plan.reasons["channel CT"]
    assert ("harmonized", "zscore", plan.reasons["harmonization"]) in decided_rows(plan)
    assert plan_from_dict(json.loads(plan_text(plan))) == plan


def test_old_plans_keep_text_and_hash(data: Dataset) -> None:
    assert "harmonization" not in PLAN.to_dict()
    plan = fitted(data, "plan.harmonization=zscore")
    assert (
        dataclasses.replace(plan, harmonization=None, channels=PLAN.channels).hash() == PLAN.hash()
    )
    assert dataclasses.replace(plan, channels=PLAN.channels).hash() != PLAN.hash()


def test_a_file_must_be_fitted_to_the_training_cases_of_the_fold(
    data: Dataset, tmp_path: Path
) -> None:
    rows = [f"{case.id},{case.images[0]},{case.label},{case.group}" for case in data.cases]
    table = tmp_path / "data.csv"
    table.write_text("\n".join(["case,image:CT,label,group", *rows]) + "\n")
    file = tmp_path / "fit.json"
    harmonize.run(["fit", str(table), "-o", str(file), "--fold", "1"])
    accepted = fitted(data, f"plan.harmonization={file}", "fold=1")
    anew = fitted(data, "plan.harmonization=spline", "fold=1")
    assert accepted.harmonization == anew.harmonization
    with pytest.raises(InputError, match=r"the 8 training cases.*another fold.*METHOD"):
        fitted(data, f"plan.harmonization={file}")
    with pytest.raises(InputError, match="fitted to the 10 training cases"):
        fitted(data, f"plan.harmonization={file}", "fold=all")
    content = json.loads(file.read_text())
    del content["cases"]
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="found no record of its cases"):
        fitted(data, f"plan.harmonization={file}", "fold=1")
    content["channels"][0]["name"] = "MR"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"a harmonization of the channels CT.*found MR"):
        fitted(data, f"plan.harmonization={file}", "fold=1")


def test_a_file_is_of_the_groups_and_images_of_its_fit(data: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "fit.json"
    plan = fitted(data, "plan.harmonization=spline")
    file.write_text(json.dumps(plan.harmonization))
    words = f"plan.harmonization={file}"
    assert fitted(data, words).harmonization == plan.harmonization
    first, *others = data.cases
    for group in ("B", ""):  # an edited table, and a case that it does not name any more
        edited = dataclasses.replace(first, group=group)
        changed = dataclasses.replace(data, cases=(edited, *others))
        assert edited in split_cases(changed, 0).training
        with pytest.raises(InputError, match=r"found other groups of these cases.*is not given"):
            fitted(changed, words)
    rewrite(first, voxels(9))
    with pytest.raises(InputError, match="found other images of these cases"):
        fitted(data, words)


def test_the_model_to_start_from_keeps_its_harmonization(data: Dataset) -> None:
    model = fitted(data, "plan.harmonization=spline", "fold=1")
    kept = harmonized_plan(PLAN, data, settings(), model=model)
    assert kept.harmonization == model.harmonization
    assert kept.reasons["harmonization"].startswith("As in the model to start from")
    training = split_cases(data, 0).training
    check_cases(kept, training, "plan.json", model=model)
    with pytest.raises(InputError, match="another fold"):
        check_cases(kept, training, "plan.json")
    assert harmonized_plan(PLAN, data, settings("plan.harmonization=none"), model=model) == PLAN


def test_a_plan_of_other_channels_is_refused(data: Dataset) -> None:
    content = json.loads(plan_text(fitted(data, "plan.harmonization=zscore")))
    content["harmonization"]["channels"][0]["name"] = "PT"
    with pytest.raises(InputError, match=r"harmonization must have the channels CT.*not PT"):
        plan_from_dict(content)


def test_a_group_of_one_patient_is_not_named_in_the_plan(data: Dataset) -> None:
    # The reasons of a plan are in every model, and such a group may bear the name of the patient.
    cases = tuple(
        dataclasses.replace(case, group=f"Mrs. {case.id}" if number < 2 else "B")
        for number, case in enumerate(data.cases)
    )
    dataset = dataclasses.replace(data, cases=cases)
    reason = folds_reason(with_groups_and_folds(dataset, settings("folds_by=group", "folds=2")))
    assert "holds out B (8)" in reason
    assert "holds out 2 groups of a single patient (2)" in reason


def test_folds_by_group(data: Dataset, tmp_path: Path) -> None:
    split = with_groups_and_folds(data, settings("folds_by=group"))
    assert folds_reason(split) == (
        "Whole groups are held out: fold 0 holds out A (5); fold 1 holds out B (5)."
    )
    plan = fitted(split, "plan.harmonization=spline", "fold=1", "folds_by=group")
    assert plan.harmonization is not None
    assert plan.harmonization["scans"] == {"A": 5}
    table = tmp_path / "groups.csv"
    table.write_text("case,site\nc0,x\n")
    with pytest.raises(InputError, match="a group for every training case"):
        with_groups_and_folds(
            data, settings(f"dataset.groups={table}", "dataset.group_column=site")
        )
    with pytest.raises(UsageError, match=r"harmonize discover DATASET -o GROUPS\.csv"):
        with_groups_and_folds(data, settings("dataset.groups=intensities", "folds_by=group"))


def test_copies_of_a_scan_do_not_train_and_validate(data: Dataset) -> None:
    split = with_groups_and_folds(data, settings("folds_by=group"))
    assert patients_of(split, [["c0", "c2"]], settings("folds_by=group")).cases[2].patient == "c0"
    with pytest.raises(InputError, match=r"in the groups A and B \(cases c0 and c3\)"):
        patients_of(split, [["c0", "c3"]], settings("folds_by=group"))
    assert patients_of(split, [["c0", "c3"]], settings()).cases[3].patient == "c0"


def test_groups_that_nothing_uses_and_methods_that_there_are_not(data: Dataset) -> None:
    with pytest.raises(UsageError, match=r"changes nothing with plan\.harmonization=nyul"):
        with_groups_and_folds(data, settings("dataset.groups=g.csv", "plan.harmonization=nyul"))
    with pytest.raises(UsageError, match=r"=splin: neither a method \(zscore, nyul, spline\)"):
        fitted(data, "plan.harmonization=splin")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("folds_by=group", "fold=all"), "folds_by changes nothing with fold=all"),
        (("dataset.groups=g.csv",), "dataset.groups changes nothing with neither"),
        (("dataset.group_column=x", "folds_by=group"), "dataset.group_column changes nothing with"),
        (
            ("plan.file=p.json", "plan.harmonization=spline"),
            "has decided plan.harmonization already",
        ),
    ],
)
def test_settings_that_change_nothing(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_effects(settings(*words), {word.partition("=")[0] for word in words})


def test_folds_are_by_group_only() -> None:
    with pytest.raises(UsageError, match="folds_by must be group, not 'site'"):
        check_value("folds_by", "site")
