"""A scan is harmonized alike in training and in prediction, before it is normalized."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.dataset.dataset import Case, Dataset
from segkit.harmonization.fit import fit
from segkit.harmonization.model_file import harmonization_of
from segkit.inference.predict_scan import prepare_scan
from segkit.inference.prediction import given_scan
from segkit.io.scans import read_volume
from segkit.plans.plan import ChannelPlan, NetworkPlan, Plan
from segkit.plans.plan_file import plan_from_dict, plan_text
from segkit.preprocessing.case_store import prepare_cases
from segkit.preprocessing.chain import prepare, prepare_parts
from segkit.preprocessing.content_values import channel_values
from segkit.preprocessing.harmonization import harmonizer_of
from segkit.preprocessing.harmonized_scan import harmonize
from segkit.preprocessing.orient_and_crop import without_tilt
from segkit.volume import Volume

PLAN = Plan(
    name="p",
    dims=3,
    slice_axis=None,
    channels=(ChannelPlan("MR", "none"),),
    labels={"organ": 1},
    spacing=(1.0, 1.0, 1.5),
    unit="mm",
    patch=(8, 8, 8),
    batch_size=1,
    mirror_axes=(),
    crop_to_content=True,
    network=NetworkPlan("unet", "relu", (), ()),
)


TILTED = np.eye(4)
TILTED[1, 2] = 0.4


def noise(seed: int, scale: float = 1.0, power: float = 1.0) -> NDArray[np.float32]:
    """Return voxels (8, 9, 10) from 0 to ``scale`` in a border of zeros."""
    values = np.zeros((8, 9, 10), np.float32)
    values[1:-1, 1:-1, 1:-1] = scale * np.random.default_rng(seed).random((6, 7, 8)) ** power
    return values


def volume(voxels: NDArray[Any], affine: Any = None) -> Volume:
    return Volume(voxels[None], np.eye(4) if affine is None else affine)


def harmonized(method: str = "spline", **changes: Any) -> Plan:
    """Return the plan with a harmonization of the groups A, bright, and B, with bent values."""
    scans = [noise(seed, 100) for seed in range(3)] + [noise(seed, 5, 2) for seed in range(3)]
    values = [channel_values(volume(scan)) for scan in scans]
    model = fit(method, ["MR"], values, list("AAABBB"))
    content = json.loads(json.dumps(model.to_dict()))
    return dataclasses.replace(PLAN, **{"harmonization": content, **changes})


@pytest.fixture
def case(write_case: Callable[..., Case]) -> Case:
    labels = np.zeros((8, 9, 10))
    labels[3:5, 3:5, 3:5] = 1
    return write_case("scan", noise(9, 5, 2), labels)


@pytest.mark.parametrize("method", ["spline", "nyul", "zscore"])
def test_training_and_prediction_apply_the_stored_fit_alike(
    case: Case, method: str, tmp_path: Path
) -> None:
    plan = harmonized(method)
    reread = plan_from_dict(json.loads(plan_text(plan)))
    assert reread == plan
    data = Dataset("d", tmp_path, ("MR",), {"organ": 1}, (dataclasses.replace(case, group="B"),))
    (trained,) = prepare_cases(data.cases, data, plan, tmp_path / "prepared")
    predicted = prepare_scan(given_scan(case.images[0], reread, group="B"), reread)
    x, y, z = (slice(0, size) for size in predicted.parts.shape)
    assert np.array_equal(predicted.parts.part((x, y, z)), trained.image)
    assert predicted.parts.harmonization is not None
    assert predicted.parts.harmonization.group == "B"
    assert predicted.warnings == []


def test_the_chain_maps_as_harmonize_does_and_then_normalizes(case: Case) -> None:
    plan = harmonized(spacing=(None, None, None), crop_to_content=False)
    scan = read_volume(case.images[0])
    model = harmonized().harmonization
    assert model is not None
    expected = harmonize(scan, harmonization_of(model, "plan"), "A").volume.array
    assert np.array_equal(prepare(scan, plan, group="A").image, expected)
    assert not np.array_equal(prepare(scan, plan, group="B").image, expected)
    scored = dataclasses.replace(plan, channels=(ChannelPlan("MR", "zscore"),))
    found = prepare(scan, scored, group="A").image
    assert np.allclose(found, (expected - expected.mean()) / expected.std(), atol=1e-5)


def test_without_harmonization_nothing_changes(case: Case) -> None:
    parts = prepare_parts(read_volume(case.images[0]), PLAN)
    assert parts.harmonization is None
    assert parts.normalizers[0].curve is None


def test_the_whole_scan_as_it_was_read_decides() -> None:
    """The upright grid of a tilted scan has more voxels, and they do not count."""
    plan = harmonized()
    harmonize_scan = harmonizer_of(plan)
    assert harmonize_scan is not None
    tilted = volume(np.random.default_rng(9).random((8, 9, 10)), TILTED)
    scan = prepare_scan(given_scan(tilted, plan, group="B"), plan)
    upright, _ = without_tilt(tilted)
    assert scan.parts.grid.shape == upright.grid.shape != tilted.grid.shape
    found, expected, other = (
        harmonization.maps[0].x
        for harmonization in (
            scan.parts.harmonization,
            harmonize_scan(tilted, "B"),
            harmonize_scan(upright, "B"),
        )
        if harmonization is not None
    )
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, other)


def test_an_unknown_group_is_harmonized_and_flagged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plan = harmonized()
    with caplog.at_level(logging.WARNING):
        image = prepare(volume(noise(9, 5, 2)), plan, group="C", where="s.nii").image
    assert np.isfinite(image).all()
    assert caplog.messages[-1:] == [
        "s.nii: the group 'C' is not among those of the training scans (A, B); it is harmonized by "
        "its own quantiles"
    ]
    parts = prepare_parts(volume(noise(9, 5, 2)), harmonized("nyul"))
    assert parts.harmonization is not None
    assert parts.harmonization.warnings == (
        "the group is not given, and the training scans have the groups A, B; it is harmonized by "
        "its own intensities",
    )


def test_a_constant_scan_becomes_0() -> None:
    scored = harmonized(channels=(ChannelPlan("MR", "zscore"),))
    assert not prepare(volume(np.full((4, 4, 4), 7.0)), scored, group="A").image.any()
