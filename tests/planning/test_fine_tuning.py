"""The plan of a training that starts from a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError
from segkit.fingerprint.fingerprint import Fingerprint
from segkit.labels.codes import SegmentCodes
from segkit.planning.fine_tuning import tuned_plan
from segkit.planning.task import Task
from segkit.plans.plan import Plan

from .conftest import Decide, Print


@pytest.fixture
def model(fingerprint: Print, decide: Decide) -> Plan:
    """Trained on CT at 1 x 1 x 2 mm."""
    made = fingerprint(spacings=((1.0, 1.0, 2.0),) * 10)
    return decide(made, channels=("CT",), patch=[32, 48, 16], norm="instance", features=[4, 8, 16])


def tuned(model: Plan, measured: Fingerprint, asked: Any = (), **options: Any) -> Plan:
    """`tuned_plan` for channels CT and PET and the labels b and c."""
    bends = {key: options.pop(key) for key in ("spacing", "patch") if key in options}
    channels = options.pop("channels", ("PET", "CT"))
    segments = options.pop("segments", {})
    dataset = Dataset("new", Path("d"), channels, {"b": 1, "c": 2}, (), segments=segments)
    task = Task(
        measured, dataset, NetworkConfig(**options), PlanConfig(**bends), None, model.slice_axis
    )
    return tuned_plan(task, model, mirror="auto", asked=asked, where="model")


@pytest.fixture
def new_data(fingerprint: Print) -> Fingerprint:
    """Finer scans of two channels, whose labels b and c keep an order along x."""
    centroids = {"b": (5.0, 20.0, 20.0), "c": (30.0, 20.0, 20.0)}
    return fingerprint(
        shape=(70, 100, 72), spacings=((0.5, 0.5, 0.5),) * 10, channels=2, centroids=centroids
    )


def test_input_looks_as_the_model_expects(model: Plan, new_data: Fingerprint) -> None:
    plan = tuned(model, new_data)
    assert (plan.spacing, plan.patch, plan.network) == (model.spacing, model.patch, model.network)
    assert plan.channels[1] == model.channels[0]
    assert (plan.channels[0].name, plan.channels[0].scheme) == ("PET", "zscore")
    assert plan.reasons["channel CT"] == "As in the model to start from."


def test_the_new_data_decide_the_rest(model: Plan, new_data: Fingerprint) -> None:
    plan = tuned(model, new_data)
    assert (plan.name, plan.labels, plan.mirror_axes) == ("new", {"b": 1, "c": 2}, (1, 2))
    assert plan.batch_size == 1  # half a typical scan of 35 x 50 x 18


def test_codes_of_labels_that_the_model_knows_by_name_are_kept(
    model: Plan, new_data: Fingerprint
) -> None:
    red, blue = SegmentCodes(colour=(255, 0, 0)), SegmentCodes(colour=(0, 0, 255))
    known = dataclasses.replace(model, segments={"a": red, "b": red, "c": red})
    assert tuned(known, new_data, segments={"c": blue}).segments == {"b": red, "c": blue}


def test_what_is_asked_for_wins_and_is_said(model: Plan, new_data: Fingerprint) -> None:
    asked = {
        "plan.spacing",
        "plan.patch",
        "network.norm",
        "network.activation",
        "network.deep_supervision",
    }
    network = {"norm": "group", "activation": "relu", "deep_supervision": False}
    plan = tuned(model, new_data, asked, spacing=[1, 1, 1], patch=[30, 30, 30], **network)
    assert (plan.spacing, plan.patch) == ((1, 1, 1), (32, 32, 30))
    assert plan.network.layers[0].groups == 2
    assert plan.network.layers[0].voxels == 32 * 32 * 30
    assert (plan.network.activation, plan.network.deep_supervision) == ("relu", False)
    assert plan.reasons["spacing"] == "As asked (plan.spacing), not the model's 1 x 1 x 2."
    assert "in multiples of" in plan.reasons["patch"]
    assert "not the model's" in plan.reasons["patch"]
    assert "with activation and deep supervision and norm as asked" in plan.reasons["network"]


def test_what_equals_the_model_is_not_called_different(model: Plan, new_data: Fingerprint) -> None:
    same = {"spacing": list(model.spacing), "patch": list(model.patch)}
    plan = tuned(model, new_data, {"plan.spacing", "plan.patch"}, **same)
    assert plan.reasons["spacing"] == "As asked (plan.spacing), which is the model's."
    assert plan.reasons["patch"] == "As asked (plan.patch), which is the model's."


def test_defaults_that_nobody_asked_for_change_nothing(model: Plan, new_data: Fingerprint) -> None:
    assert tuned(model, new_data, norm="group").network == model.network


@pytest.mark.parametrize(
    ("key", "option", "message"),
    [
        (
            "network.name",
            {"name": "residual_unet"},
            "network=residual_unet to start from, found network=unet. Omit",
        ),
        ("network.dims", {"dims": 2}, "network.dims=2 to start from, found network.dims=3"),
        (
            "network.features",
            {"features": [8, 16]},
            r"network.features=\[8,16\] to .* found .*=\[4,8,16\]",
        ),
        ("network.convs", {"convs": 3}, "network.convs=3 to start from, found network.convs=2"),
    ],
)
def test_another_network_is_refused(
    key: str, option: dict[str, Any], message: str, model: Plan, new_data: Fingerprint
) -> None:
    with pytest.raises(InputError, match=message):
        tuned(model, new_data, {key}, **option)


def test_data_that_the_model_cannot_take_are_refused(model: Plan, fingerprint: Print) -> None:
    with pytest.raises(
        InputError, match="trained on pictures without voxel sizes, found one of scans with"
    ):
        tuned(model, fingerprint(shape=(64, 64, 1), unit="px"), channels=("CT",))
    with pytest.raises(
        InputError, match="single slices across z, as the data are, found one of volumes"
    ):
        tuned(model, fingerprint(shape=(64, 64, 1)), channels=("CT",))


def test_a_border_with_labels_stays_although_the_model_cut_it(
    model: Plan, new_data: Fingerprint
) -> None:
    cases = tuple(dataclasses.replace(case, outside=5) for case in new_data.cases)
    plan = tuned(model, dataclasses.replace(new_data, cases=cases))
    assert model.crop_to_content
    assert not plan.crop_to_content
    assert plan.reasons["crop"].endswith("The model to start from crops it.")
