"""Symmetry of a plan: axes, cubic patches, isotropic spacing, orbits, and labels with sides."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkit.config.compose import load
from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, UsageError
from segkit.fingerprint.fingerprint import Fingerprint
from segkit.networks import build_network
from segkit.planning.fine_tuning import renormed, tuned_plan
from segkit.planning.planner import make_plan
from segkit.planning.task import Task
from segkit.plans.plan import Plan, SymmetryPlan
from segkit.plans.symmetry_rules import symmetry_problems

Print = Callable[..., Fingerprint]
Decide = Callable[..., Plan]
THICK = ((1.0, 1.0, 5.0),) * 10
NEAR = {"a": (20.0, 20.0, 20.0), "b": (20.0, 20.0, 20.0)}
"""Centroids of two labels that keep no order."""
SIDES = {"kidney_left": (10.0, 20.0, 20.0), "kidney_right": (30.0, 20.0, 20.0)}


def equivariant(decide: Decide, measured: Fingerprint, symmetry: str | None, **more: Any) -> Plan:
    return decide(measured, name="equivariant_unet", symmetry=symmetry, **more)


def sided(measured: Fingerprint, symmetry: str, *, mirror: Any = "auto", **more: Any) -> Plan:
    """Return the plan for the labels of ``measured``."""
    labels = {name: index for index, name in enumerate(measured.cases[0].labels, 1)}
    dataset = Dataset("d", Path("d"), ("MR",), labels, (), **more)
    network = NetworkConfig(name="equivariant_unet", symmetry=symmetry)
    return make_plan(measured, dataset, network, PlanConfig(), 2, mirror=mirror)


@pytest.mark.parametrize("symmetry", ["mirror", "d4", "octahedral24", "octahedral48"])
def test_every_3d_plan_can_be_followed(fingerprint: Print, decide: Decide, symmetry: str) -> None:
    plan = equivariant(decide, fingerprint(centroids=NEAR), symmetry)
    assert not list(symmetry_problems(plan))
    build_network(plan)


@pytest.mark.parametrize("symmetry", ["mirror", "p4", "p4m"])
def test_every_2d_plan_can_be_followed(fingerprint: Print, decide: Decide, symmetry: str) -> None:
    plan = equivariant(decide, fingerprint((64, 48, 20), THICK, centroids=NEAR), symmetry, dims=2)
    assert plan.slice_axis == 2
    assert not list(symmetry_problems(plan))
    build_network(plan)


def test_the_default_is_mirror(fingerprint: Print, decide: Decide) -> None:
    plan = equivariant(decide, fingerprint(centroids=NEAR), None)
    assert plan.network.symmetry == SymmetryPlan("mirror", (0,))
    assert plan.network.downsampling == "average"
    assert plan.reasons["symmetry"] == "Equivariant under mirror: left and right exchanged."
    plain = decide(fingerprint(centroids=NEAR))
    assert plain.network.symmetry is None
    assert plain.patch == plan.patch
    assert "symmetry" not in plain.reasons


def test_the_octahedral_group_gets_a_cube_of_as_many_voxels(
    fingerprint: Print, decide: Decide
) -> None:
    # 35 * 50 * 36 voxels are a cube of 39.8, and the plain patch is 40 x 56 x 40.
    plan = equivariant(decide, fingerprint(), "octahedral24")
    assert plan.patch == (40, 40, 40)
    assert plan.network.symmetry == SymmetryPlan("octahedral24", (0, 1, 2))
    assert [stage.layers[0].channels for stage in plan.network.encoder] == [24, 48, 96, 192]
    assert {layer.channels // layer.groups for layer in plan.network.layers} == {24}
    assert "the patch has about as many voxels as a typical scan" in plan.reasons["patch"]
    assert "with edges that can be halved and are equal along x, y, z." in plan.reasons["patch"]


def test_tied_edges_are_shortened_together(fingerprint: Print, decide: Decide) -> None:
    plan = equivariant(decide, fingerprint((200, 300, 200)), "octahedral24", memory="300MB")
    assert len(set(plan.patch)) == 1
    assert plan.patch[0] < 200
    assert (
        "is cut down to fit the memory, with edges that can be halved and are equal"
        in plan.reasons["patch"]
    )


def test_in_plane_axes_are_those_of_the_most_similar_spacings(
    fingerprint: Print, decide: Decide
) -> None:
    coarse_x = ((5.0, 1.0, 1.0),) * 10
    plan = equivariant(decide, fingerprint((12, 60, 50), coarse_x, centroids=NEAR), "d4")
    assert plan.network.symmetry == SymmetryPlan("d4", (1, 2))
    assert plan.patch[1] == plan.patch[2]
    assert equivariant(decide, fingerprint(centroids=NEAR), "d4").network.symmetry == SymmetryPlan(
        "d4", (0, 1)
    )
    thin = ((0.8, 0.8, 0.5),) * 10  # the slices of many CT scans
    plan = equivariant(decide, fingerprint(spacings=thin, centroids=NEAR), "d4")
    assert plan.network.symmetry == SymmetryPlan("d4", (0, 1))
    assert plan.spacing == (0.8, 0.8, 0.5)


def test_similar_spacings_become_their_geometric_mean(fingerprint: Print, decide: Decide) -> None:
    plan = equivariant(decide, fingerprint(spacings=((1.0, 1.0, 1.728),) * 10), "octahedral24")
    assert plan.spacing == (1.2, 1.2, 1.2)
    assert "the geometric mean of 1 x 1 x 1.728" in plan.reasons["spacing"]


def test_labels_whose_order_is_lost_are_named(
    fingerprint: Print, decide: Decide, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        plan = equivariant(decide, fingerprint(), "octahedral24")
    expected = "a lies behind b along y in 10 of 10 cases"
    assert expected in caplog.text
    assert expected in plan.reasons["symmetry"]
    caplog.clear()
    equivariant(decide, fingerprint(), "mirror")
    assert not caplog.text


def test_left_and_right_exchange_names_whether_or_not_the_training_mirrors(
    fingerprint: Print,
) -> None:
    for mirror in ("auto", "none", [1]):
        plan = sided(fingerprint(centroids=SIDES), "mirror", mirror=mirror)
        assert plan.mirror_swaps == (("kidney_left", "kidney_right"),)
        assert plan.mirrored_outputs == (0, 2, 1)
        assert "kidney_left and kidney_right exchange names." in plan.reasons["symmetry"]


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("p4", {}, {}, "not for networks in 3D. Choose one of mirror, d4, octahedral24, octahedral48"),
    ("d4", {"spacings": THICK}, {"dims": 2}, "not for networks in 2D. Choose one of mirror, p4"),
    ("octahedral24", {"spacings": THICK}, {}, "usual voxel spacing is 1 x 1 x 5.*symmetry=d4"),
    ("octahedral24", {}, {"spacing": [1, 1, 1.1]}, "plan.spacing is 1 x 1 x 1.1 along them"),
    ("d4", {}, {"spacing": [1, 1.1, 1.3]}, "plan.spacing is .* with equal numbers such as 1"),
    ("d4", {}, {"patch": [32, 40, 32]}, r"equal edges along x and y.*such as \[40,40,32\]"),
    ("d4", {}, {"features": [8, 20, 32]}, r"must be multiples of 8.*such as \[8,24,32\]"),
    ("d4", {}, {"channels_per_group": 4}, "split the orbits of 8.*out of 8, 16"),
    ("d4", {}, {"num_groups": 4}, "groups of 4 channels split the orbits of 8"),
    ("d4", {}, {"norm": "batch"}, "running statistics.*group, instance, layer, group_ws, none"),
    ("mirror", {"spacings": ((5.0, 1.0, 1.0),) * 10}, {"dims": 2}, "slices are perpendicular"),
]


@pytest.mark.parametrize(("symmetry", "data", "settings", "message"), REFUSED)
def test_what_contradicts_the_group_is_refused(
    fingerprint: Print,
    decide: Decide,
    symmetry: str,
    data: dict[str, Any],
    settings: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UsageError, match=f"(?s){message}"):
        equivariant(decide, fingerprint(**data), symmetry, **settings)


def test_labels_with_sides_contradict_groups_that_cannot_exchange_them(fingerprint: Print) -> None:
    pairs, alone = fingerprint(centroids=SIDES), {"kidney_left": (10.0, 20.0, 20.0)}
    for symmetry in ("d4", "octahedral48"):
        with pytest.raises(UsageError, match="kidney_left has a side by its name, and the group k"):
            sided(pairs, symmetry)
    with pytest.raises(UsageError, match=r"no label is the other side.*\(dataset.labels\)\.$"):
        sided(fingerprint(centroids=alone), "mirror")
    with pytest.raises(UsageError, match=r"augment\.mirror=all keeps the names of kidney_left"):
        sided(pairs, "mirror", mirror="all")
    with pytest.raises(UsageError, match="region kidney_left overlaps others"):
        sided(pairs, "mirror", regions={"kidney_left": (1,), "kidney_right": (2,)})
    assert "exchange" not in sided(pairs, "octahedral24").reasons["symmetry"]


def test_turns_allow_only_mirroring_that_exchanges_left_and_right(fingerprint: Print) -> None:
    # A scan mirrored along y is, turned by 180 degrees, one that is mirrored along x.
    pairs, alone = fingerprint(centroids=SIDES), {"kidney_left": (10.0, 20.0, 20.0)}
    assert sided(pairs, "mirror").mirror_axes == (0, 1, 2)
    plan = sided(pairs, "octahedral24")
    assert plan.mirror_axes == (0,)
    assert plan.mirror_swaps == (("kidney_left", "kidney_right"),)
    assert "But y and z will not be mirrored: kidney_left would keep" in plan.reasons["mirror"]
    assert sided(pairs, "octahedral24", mirror=[0]).mirror_axes == (0,)
    assert sided(pairs, "octahedral24", mirror="none").mirror_axes == ()
    assert sided(fingerprint(centroids=NEAR), "octahedral24").mirror_axes == (0, 1, 2)
    assert sided(fingerprint(centroids=alone), "octahedral24").mirror_axes == ()
    regions = {"kidney_left": (1,), "kidney_right": (2,)}
    assert sided(pairs, "octahedral24", regions=regions).mirror_axes == ()
    for mirror, given in (("all", "all"), ([0, 1], r"\[0,1\]")):
        with pytest.raises(UsageError, match=rf"augment\.mirror={given}: kidney_left would keep"):
            sided(pairs, "octahedral24", mirror=mirror)


def test_one_orbit_is_one_group(fingerprint: Print, decide: Decide) -> None:
    plan = equivariant(decide, fingerprint(), "octahedral48", features=[48, 48])
    assert {layer.groups for layer in plan.network.layers} == {1}


def tuned(measured: Fingerprint, model: Plan, *asked: str, **settings: Any) -> Plan:
    plan = PlanConfig(**{key: settings.pop(key) for key in ("patch",) if key in settings})
    labels = {name: index for index, name in enumerate(measured.cases[0].labels, 1)}
    dataset = Dataset("d", Path("d"), ("MR",), labels, ())
    task = Task(measured, dataset, NetworkConfig(**settings), plan, None, model.slice_axis)
    return tuned_plan(task, model, mirror="none", asked=asked, where="model")


def test_a_training_that_starts_from_a_model_keeps_its_symmetry(
    fingerprint: Print, decide: Decide
) -> None:
    model = equivariant(decide, fingerprint(), "mirror")
    plan = tuned(fingerprint(centroids=SIDES), model)
    assert plan.network.symmetry == model.network.symmetry
    assert plan.mirror_swaps == (("kidney_left", "kidney_right"),)
    with pytest.raises(InputError, match=r"network\.symmetry=d4 to start from, found"):
        tuned(fingerprint(), model, "network.symmetry", symmetry="d4")
    cube = equivariant(decide, fingerprint(), "octahedral24")
    with pytest.raises(UsageError, match="must have equal edges"):
        tuned(fingerprint(), cube, "plan.patch", patch=[40, 48, 40])


def test_another_norm_of_a_model_keeps_whole_orbits(fingerprint: Print, decide: Decide) -> None:
    network = equivariant(decide, fingerprint(), "octahedral24").network
    assert all(layer.groups == 1 for layer in renormed(network, NetworkConfig(norm="layer")).layers)
    again = renormed(network, NetworkConfig(channels_per_group=24))
    assert {layer.channels // layer.groups for layer in again.layers} == {24}
    with pytest.raises(UsageError, match="split the orbits of 24"):
        renormed(network, NetworkConfig(channels_per_group=8))
    with pytest.raises(UsageError, match="running statistics"):
        renormed(network, NetworkConfig(norm="batch_renorm"))


def test_the_setting_belongs_to_one_network() -> None:
    assert load(["network=equivariant_unet", "network.symmetry=p4m"]).network.symmetry == "p4m"
    with pytest.raises(UsageError, match=r"changes nothing with network=unet, only with equiv"):
        load(["network.symmetry=d4"])
    with pytest.raises(UsageError, match=r"network\.symmetry must be mirror, p4, p4m, d4"):
        load(["network=equivariant_unet", "network.symmetry=so3"])
