"""Memory decides how a scan is gone through, and never what comes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from segkit.bundle import Bundle
from segkit.errors import OutOfMemoryError
from segkit.inference import Predictor
from segkit.inference.layout import Layout, choose_layout, network_bytes
from segkit.io.limits import resident_memory
from segkit.plans import NetworkPlan, Plan
from segkit.preprocessing.chain import PreparedPlanes, prepare_planes
from segkit.volume import Volume

Make = Callable[..., Bundle]
PATCH = (32, 32, 32)


def scan(*shape: int) -> Volume:
    array = np.random.default_rng(0).integers(0, 100, (1, *shape), dtype=np.uint8)
    return Volume(array, np.eye(4))


def layout(planes: PreparedPlanes, plan: Plan, allowed: int | None = None, channels: int = 2) -> Layout:
    limit = None if allowed is None else allowed + resident_memory()
    return choose_layout(planes, plan, 0.5, channels=channels, limit=limit)


def layouts(planes: PreparedPlanes, plan: Plan) -> list[Layout]:
    """One after the other, each with a little less memory than the one before takes."""
    found = [layout(planes, plan)]
    while True:
        try:
            found.append(layout(planes, plan, found[-1].bytes - (2 << 20)))
        except OutOfMemoryError:
            return found


def test_less_memory_means_fewer_windows_at_once_then_more_parts(make_bundle: Make) -> None:
    plan = make_bundle(patch=PATCH).plan
    planes = prepare_planes(scan(300, 200, 100), plan)
    found = layouts(planes, plan)
    assert (found[0].windows.axis, found[0].windows.batch, len(found[0].parts)) == (0, None, 1)
    assert (found[1].windows.batch, len(found[1].parts)) == (1, 1)
    assert [len(each.parts) for each in found] == sorted(len(each.parts) for each in found)
    assert len(found[-1].parts) > 2
    counts = [each.count(planes.shape) for each in found]
    assert counts[0] == 18 * 12 * 6
    assert counts == sorted(counts)
    assert [each.bytes for each in found] == sorted((each.bytes for each in found), reverse=True)


def test_labels_do_not_depend_on_memory(make_bundle: Make) -> None:
    bundle = make_bundle(patch=PATCH, spacing=(1.5, 0.8, 1.0))
    volume = scan(300, 200, 60)
    found = layouts(prepare_planes(volume, bundle.plan), bundle.plan)
    expected = Predictor(bundle).predict(volume).array
    assert 0 < np.count_nonzero(expected) < expected.size
    done: list[tuple[int, int]] = []
    frugal = Predictor(bundle, max_memory=resident_memory() + (found[1].bytes + found[-1].bytes) // 2)
    labels = frugal.predict(volume, progress=lambda *count: done.append(count)).array
    assert done[-1][0] == done[-1][1] > found[0].count(prepare_planes(volume, bundle.plan).shape)
    assert np.array_equal(labels, expected)


def test_the_number_of_labels_does_not_count_where_features_are_fewer(make_bundle: Make) -> None:
    many = make_bundle(labels={f"label{value}": value for value in range(1, 118)}, folder="many")
    volume = scan(64, 64, 64)
    planes = prepare_planes(volume, many.plan)
    assert layout(planes, many.plan, channels=118).bytes > layout(planes, many.plan, channels=1).bytes + (10 << 20)
    Predictor(many, max_memory=resident_memory() + layout(planes, many.plan, channels=1).bytes + (8 << 20)).predict(
        volume
    )


def test_a_network_from_elsewhere_counts_as_a_wide_one(make_bundle: Make) -> None:
    plan = make_bundle(patch=PATCH).plan
    foreign = dataclasses.replace(plan, network=NetworkPlan("monai_segresnet", "relu", (), ()))
    assert network_bytes(plan, 2) == 4 * 6 * 2 * 32**3
    assert network_bytes(foreign, 2) == 64 * network_bytes(plan, 2)
