from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from segkit.bundle.bundle import Bundle
from segkit.inference.scoring.window_scorer import WindowScorer, mirrorings
from segkit.networks import build_network
from segkit.plans.plan import Plan
from tests.symmetric_plans import planned

SIDES = {"labels": {"left": 1, "right": 2}, "mirror_axes": (0, 1)}


class TellsSides(torch.nn.Module):
    """Network with two labels: bright voxels are label 1 in the first half along X, else label 2.

    For a mirrored window it swaps the labels, like a network that has learned left and right.
    """

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        half = windows.shape[2] // 2
        first, second = torch.zeros_like(windows), torch.zeros_like(windows)
        first[:, :, :half], second[:, :, half:] = windows[:, :, :half], windows[:, :, half:]
        return torch.cat([torch.full_like(windows, 0.5), first, second], dim=1)


@pytest.mark.parametrize("dims", [2, 3])
def test_mirrored_scores_change_sides_back(dims: int, make_bundle: Callable[..., Bundle]) -> None:
    sides = make_bundle(dims, **SIDES).plan
    windows = torch.from_numpy(
        np.random.Generator(np.random.Philox(0)).random((2, 1, *[8] * dims), np.float32)
    )

    def scores(tta: bool, swaps: tuple[tuple[str, str], ...]) -> torch.Tensor:
        plan = dataclasses.replace(sides, mirror_swaps=swaps)
        scorer = WindowScorer(
            [TellsSides().eval()], plan, device=torch.device("cpu"), precision="float32", tta=tta
        )
        return scorer(windows)

    plain = scores(tta=False, swaps=(("left", "right"),))
    assert torch.allclose(scores(tta=True, swaps=(("left", "right"),)), plain)
    assert torch.equal(scores(tta=True, swaps=(("left", "right"),)).argmax(1), plain.argmax(1))
    assert not torch.allclose(scores(tta=True, swaps=()), plain)


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_features_are_averaged_where_they_are_fewer_than_labels(
    dims: int, tta: bool, make_bundle: Callable[..., Bundle]
) -> None:
    torch.manual_seed(0)
    plan = make_bundle(dims, 2, labels={f"label{value}": value for value in range(1, 9)}).plan
    networks = [build_network(plan).eval() for _ in range(2)]
    scorer = WindowScorer(networks, plan, device=torch.device("cpu"), precision="float32", tta=tta)
    windows = torch.randn(3, 2, *[8] * dims)
    with torch.inference_mode():
        averaged = scorer(windows)
        assert (scorer.channels, scorer.classes, averaged.shape[1]) == (4, 9, 4)
        turned = [windows.flip(axes) for axes in scorer.mirrorings]
        each = [
            network(part).flip(axes)
            for part, axes in zip(turned, scorer.mirrorings, strict=True)
            for network in networks
        ]
        expected = torch.stack(each).mean(0)
        found = torch.stack([scorer.scores(part) for part in averaged])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_scores_are_averaged_where_features_would_be_more_or_change_sides(
    make_bundle: Callable[..., Bundle],
) -> None:
    few = make_bundle(channels=2).plan
    many = make_bundle(
        channels=1, labels={"left": 1, "right": 2}, mirror_swaps=(("left", "right"),), folder="b"
    ).plan

    def averages_features(plan: Plan, *, tta: bool = True, count: int = 1) -> bool:
        networks = [build_network(plan).eval() for _ in range(count)]
        return (
            WindowScorer(
                networks, plan, device=torch.device("cpu"), precision="float32", tta=tta
            ).heads
            is not None
        )

    assert not averages_features(few)
    assert not averages_features(many)
    assert averages_features(many, tta=False)
    assert averages_features(many, tta=False, count=2)
    assert not averages_features(many, tta=False, count=3)


class AddsSomething(torch.nn.Module):
    """Has features and a head, and something beside them, as a network of another package may."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = torch.nn.Identity(), torch.nn.Conv3d(1, 9, 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(windows)) + windows


def test_a_network_from_elsewhere_has_its_scores_averaged(
    make_bundle: Callable[..., Bundle],
) -> None:
    plan = make_bundle(labels={f"label{value}": value for value in range(1, 9)}).plan
    network = AddsSomething().eval()
    scorer = WindowScorer(
        [network], plan, device=torch.device("cpu"), precision="float32", tta=False
    )
    windows = torch.randn(1, 1, 8, 8, 8)
    with torch.inference_mode():
        assert torch.equal(scorer.scores(scorer(windows)[0]), network(windows)[0])


def test_a_network_in_training_mode_is_refused(make_bundle: Callable[..., Bundle]) -> None:
    plan = make_bundle().plan
    with pytest.raises(TypeError, match="call its eval"):
        WindowScorer(
            [build_network(plan)], plan, device=torch.device("cpu"), precision="float32", tta=False
        )


def test_mirrorings_of_the_symmetry_are_left_out() -> None:
    def left(group: str, axes: tuple[int, ...], **more: Any) -> list[tuple[int, ...]]:
        return mirrorings(dataclasses.replace(planned(group, 3), mirror_axes=axes, **more))

    assert left("mirror", (0, 1, 2)) == [(), (3,), (4,), (3, 4)]
    assert left("d4", (0, 1, 2), mirror_swaps=()) == [(), (4,)]
    assert left("octahedral48", (0, 1, 2), mirror_swaps=()) == [()]
    # Turns by 180 degrees reverse two axes at once.
    assert left("octahedral24", (0, 1, 2), mirror_swaps=()) == [(), (2,)]
    assert left("octahedral24", (0,)) == [(), (2,)]


@pytest.mark.parametrize("group", ["mirror", "d4", "octahedral24"])
def test_mirrorings_that_are_left_out_give_the_scores_of_another(group: str) -> None:
    """Where left and right labels exchange names along X only, a turn is not enough for that."""
    plan = dataclasses.replace(planned(group, 3, inputs=1, stages=2), mirror_axes=(0, 1, 2))
    torch.manual_seed(0)
    network, windows = build_network(plan).eval(), torch.randn(1, 1, 8, 8, 8)
    scorer = WindowScorer(
        [network], plan, device=torch.device("cpu"), precision="float32", tta=False
    )
    different: list[torch.Tensor] = []
    for count in range(4):
        for axes in combinations((2, 3, 4), count):
            with torch.inference_mode():
                scores = scorer._unmirrored(network(windows.flip(axes)), axes)
            if not any(torch.allclose(scores, other, atol=1e-4) for other in different):
                different.append(scores)
    assert len(mirrorings(plan)) == len(different)
