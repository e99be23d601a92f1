"""Groups of turns and reflections, and what they demand of a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.plans.plan import Plan, SymmetryPlan
from segkit.plans.plan_file import plan_from_dict, plan_text, read_plan
from segkit.plans.symmetry import SYMMETRIES, Element, elements, multiplication_table
from segkit.plans.symmetry_rules import symmetry_problems, window_elements
from tests.symmetric_plans import symmetric_plan

GROUPS = [
    (name, dims, (0, 1, 2)[: row.axes]) for name, row in SYMMETRIES.items() for dims in row.dims
]


def matrix(element: Element) -> np.ndarray[Any, Any]:
    found = np.zeros((len(element.axes),) * 2, int)
    found[range(len(element.axes)), element.axes] = element.signs
    return found


@pytest.mark.parametrize(("name", "dims", "axes"), GROUPS)
def test_products_and_inverses_are_those_of_the_matrices(
    name: str, dims: int, axes: tuple[int, ...]
) -> None:
    found = elements(name, axes, dims)
    assert len(set(found)) == SYMMETRIES[name].order
    assert (matrix(found[0]) == np.eye(dims)).all()
    table = multiplication_table(found)
    for row, one in zip(table, found, strict=True):
        assert sorted(row) == list(range(len(found)))
        assert (matrix(one.inverse) @ matrix(one) == np.eye(dims)).all()
        assert one.is_reflection == (round(np.linalg.det(matrix(one))) == -1)
        for index, other in zip(row, found, strict=True):
            assert (matrix(found[index]) == matrix(one) @ matrix(other)).all()


def test_half_of_the_octahedral_group_are_reflections() -> None:
    found = elements("octahedral48", (0, 1, 2), 3)
    assert sum(element.is_reflection for element in found) == 24
    turns = [element for element in found if not element.is_reflection]
    assert set(turns) == set(elements("octahedral24", (0, 1, 2), 3))


def test_a_group_needs_its_number_of_axes() -> None:
    with pytest.raises(ValueError, match="d4 needs 2 axes"):
        elements("d4", (0, 1, 2), 3)


def test_windows_of_a_2d_network_lack_the_slice_axis() -> None:
    plan = symmetric_plan("p4", axes=(0, 2), slice_axis=1)
    assert window_elements(plan) == elements("p4", (0, 1), 2)


@pytest.mark.parametrize(("name", "dims", "axes"), GROUPS)
def test_a_plan_that_fits_has_no_problems_and_is_read_as_written(
    tmp_path: Path, name: str, dims: int, axes: tuple[int, ...]
) -> None:
    plan = symmetric_plan(name, axes=axes, slice_axis=None if dims == 3 else 2)
    assert not list(symmetry_problems(plan))
    (tmp_path / "plan.json").write_text(plan_text(plan))
    assert read_plan(tmp_path / "plan.json") == plan


def test_a_plan_without_symmetry_is_written_as_before() -> None:
    plan = symmetric_plan("mirror", axes=(0,))
    plain = replace(
        plan, network=replace(plan.network, name="unet", symmetry=None, downsampling="strided")
    )
    assert not {"symmetry", "downsampling"} & set(plain.to_dict()["network"])
    assert plan.to_dict()["network"]["symmetry"] == {"group": "mirror", "axes": (0,)}
    assert len({plan.hash(), plain.hash(), with_network(plain, downsampling="average").hash()}) == 3


def with_network(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, network=replace(plan.network, **changes))


def with_layers(plan: Plan, **changes: Any) -> Plan:
    first, *rest = plan.network.encoder
    layers = tuple(replace(layer, **changes) for layer in first.layers)
    return with_network(plan, encoder=(replace(first, layers=layers), *rest))


def with_stage(plan: Plan, **changes: Any) -> Plan:
    first, *rest = plan.network.encoder
    return with_network(plan, encoder=(replace(first, **changes), *rest))


WRONG: list[tuple[str, Callable[[Plan], Plan]]] = [
    ("patch: expected equal numbers along x, y", lambda p: replace(p, patch=(16, 8, 16))),
    ("spacing: expected equal numbers", lambda p: replace(p, spacing=(1.0, 1.1, 1.0))),
    ("the kernels of a stage: expected equal", lambda p: with_stage(p, kernel=(3, 1, 3))),
    ("network.downsampling: expected average", lambda p: with_network(p, downsampling="strided")),
    ("network.downsampling must be strided or", lambda p: with_network(p, downsampling="max")),
    ("network.downsampling: expected strided, or", lambda p: with_network(p, name="residual_unet")),
    ("network.symmetry: expected none with", lambda p: with_network(p, name="unet")),
    ("network.symmetry: expected a group", lambda p: with_network(p, symmetry=None)),
    ("expected one of mirror, d4, octahedral24", lambda p: symmetric(p, "p4")),
    ("network.symmetry.axes: expected 2 ascending", lambda p: symmetric(p, "d4", (1, 0))),
    ("network.symmetry.axes: expected 1 ascending", lambda p: symmetric(p, "mirror", (1,))),
    ("expected a multiple of 8 channels", lambda p: with_layers(p, channels=12, groups=1)),
    ("expected groups of whole orbits of 8", lambda p: with_layers(p, groups=4)),
    ("expected one of the norms group", lambda p: with_layers(p, norm="batch", groups=0)),
]


def symmetric(plan: Plan, group: str, axes: tuple[int, ...] = (0, 1)) -> Plan:
    return with_network(plan, symmetry=SymmetryPlan(group, axes))


@pytest.mark.parametrize(("message", "changed"), WRONG, ids=[text for text, _ in WRONG])
def test_what_contradicts_the_symmetry_is_refused(
    message: str, changed: Callable[[Plan], Plan]
) -> None:
    plan = changed(symmetric_plan("d4", axes=(0, 1)))
    with pytest.raises(InputError, match=message):
        plan_from_dict(plan.to_dict())


def test_one_group_per_channel_has_the_symmetry() -> None:
    plan = with_layers(symmetric_plan("d4", axes=(0, 1)), groups=16)
    assert not list(symmetry_problems(plan))


def test_a_network_without_symmetry_has_no_elements() -> None:
    plan = with_network(symmetric_plan("d4", axes=(0, 1)), symmetry=None)
    with pytest.raises(ValueError, match="no symmetry"):
        window_elements(plan)


def test_the_group_that_moves_training_patches_is_part_of_plan_and_hash_only_if_there_is_one(
    tmp_path: Path,
) -> None:
    plan = symmetric_plan("d4", axes=(0, 1))
    turned = replace(plan, training_poses=SymmetryPlan("d4", (0, 1)))
    assert "training_poses" not in plan.to_dict()
    assert turned.hash() != plan.hash()
    (tmp_path / "plan.json").write_text(plan_text(turned))
    assert read_plan(tmp_path / "plan.json") == turned


@pytest.mark.parametrize(
    ("message", "group", "axes"),
    [
        ("training_poses.group: expected one of mirror, d4", "p4", (0, 1)),
        ("training_poses.axes: expected 2 ascending", "d4", (1, 0)),
        ("patch: expected equal numbers along x, y, z", "octahedral24", (0, 1, 2)),
    ],
)
def test_a_group_that_would_move_patches_to_another_shape_is_refused(
    message: str, group: str, axes: tuple[int, ...]
) -> None:
    plan = replace(symmetric_plan("d4", axes=(0, 1)), patch=(16, 16, 8))
    plan = replace(plan, training_poses=SymmetryPlan(group, axes))
    with pytest.raises(InputError, match=message):
        plan_from_dict(plan.to_dict())
