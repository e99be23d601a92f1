"""Scores of a moved image are the moved scores, for every element; and what would break this."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segkit.bundle.bundle import fill_network
from segkit.errors import InputError
from segkit.networks import build_network, count_parameters
from segkit.networks.equivariance import equivariance_errors, moved, moved_scores
from segkit.networks.equivariant_layers import Filters, OrbitNorm
from segkit.networks.equivariant_unet import EquivariantUNet, window_symmetry
from segkit.networks.fusion import fuse
from segkit.networks.kernels.group_norm import GroupNorm
from segkit.networks.precision import network_to_memory_format
from segkit.plans.convolutions import convolutions, parameters
from segkit.plans.plan import Plan
from segkit.plans.symmetry import Element, elements
from segkit.plans.symmetry_rules import window_elements
from tests.symmetric_plans import GROUPS, planned

EDGES = (8, 12, 16)
"""Unequal edges, all multiples of 4."""


def drawn(plan: Plan, seed: int = 0) -> nn.Module:
    """Return a network whose parameters, including those of norms, are all random."""
    torch.manual_seed(seed)
    network = build_network(plan).eval()
    for parameter in network.parameters():
        if parameter.ndim < 2:
            nn.init.normal_(parameter, 0.5)
    return network


def image(plan: Plan, edges: tuple[int, ...] = EDGES, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, len(plan.channels), *edges[: plan.dims], generator=generator)


@pytest.mark.parametrize(("group", "dims"), GROUPS)
def test_moved_images_give_moved_scores(group: str, dims: int) -> None:
    plan = planned(group, dims)
    network = drawn(plan)
    for dtype, limit in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        errors = equivariance_errors(network.to(dtype), plan, image(plan).to(dtype))
        assert len(errors) == len(window_elements(plan))
        assert max(errors.values()) <= limit


@pytest.mark.parametrize("norm", ["group", "group_ws", "instance", "layer", "none"])
def test_every_norm_with_symmetry_keeps_it_through_a_training(norm: str) -> None:
    plan = planned("d4", 3, norm=norm, stages=2)
    network = drawn(plan).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        scores = network(image(plan, (8, 8, 8)))
        torch.stack([level.sin().mean() for level in scores]).sum().backward()
        optimizer.step()
    errors = equivariance_errors(network.eval().double(), plan, image(plan).double())
    assert max(errors.values()) <= 1e-10


def test_a_plain_network_is_far_from_equivariant() -> None:
    plan = planned("d4", 3)
    network = drawn(replace(plan, network=replace(plan.network, name="unet", symmetry=None)))
    identity, *others = equivariance_errors(network, plan, image(plan)).values()
    assert identity == 0
    assert min(others) > 0.1


def test_strides_break_the_symmetry_at_even_sizes() -> None:
    plan = planned("mirror", 2)
    strided = replace(plan, network=replace(plan.network, downsampling="strided"))
    with pytest.raises(InputError, match="expected average for mirror"):
        build_network(strided)
    network = EquivariantUNet(strided).eval()
    assert max(equivariance_errors(network, plan, image(plan)).values()) > 0.01


QUARTER_TURNS = elements("p4", (0, 1), 2)
HALF = QUARTER_TURNS.index(Element((0, 1), (-1, -1)))


@torch.no_grad()
def norm_errors(layer: nn.Module, channels: int = 8) -> tuple[float, float]:
    """Return the errors of a norm of orbits of p4 under a half turn, and under a quarter turn."""
    x = torch.randn(1, channels, 6, 8, generator=torch.Generator().manual_seed(2)).exp()

    def act(features: Tensor, turn: int) -> Tensor:
        back = QUARTER_TURNS[turn].inverse
        numbers = [QUARTER_TURNS.index(back @ element) for element in QUARTER_TURNS]
        by_orbit = features.unflatten(1, (-1, 4))[:, :, numbers].flatten(1, 2)
        return moved(by_orbit, QUARTER_TURNS[turn])

    errors = [float((layer(act(x, i)) - act(layer(x), i)).abs().max()) for i in range(4)]
    return errors[HALF], max(error for i, error in enumerate(errors) if i != HALF)


def tied_norm(groups: int) -> OrbitNorm:
    layer = OrbitNorm(GroupNorm(groups, 8), window_symmetry(planned("p4", 2)))
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_groups_of_whole_orbits_and_of_single_channels_are_equivariant(groups: int) -> None:
    assert max(norm_errors(tied_norm(groups))) < 1e-5


def test_half_an_orbit_fails_at_90_degrees_although_it_passes_at_180() -> None:
    halves = tied_norm(4)
    quarter = next(i for i in range(1, 4) if i != HALF)
    third = next(i for i in range(1, 4) if i not in (HALF, quarter))
    order = [4 * orbit + i for orbit in range(2) for i in (0, quarter, HALF, third)]

    def layer(x: Tensor) -> Tensor:  # groups of two orientations that differ by a quarter turn
        y = torch.empty_like(x)
        y[:, order] = halves(x[:, order])
        return y

    half_turn, quarter_turn = norm_errors(layer)  # type: ignore[arg-type]
    assert half_turn < 1e-5
    assert quarter_turn > 0.1


def test_groups_that_turns_map_onto_each_other_are_equivariant_too() -> None:
    """Opposite orientations are a coset of the half turn, which a quarter turn maps to the other.

    segkit asks for whole orbits nevertheless, so that a norm compares all orientations.
    """
    assert HALF == 1  # next to the identity
    assert max(norm_errors(tied_norm(4))) < 1e-5


def test_a_scale_per_channel_is_not_equivariant() -> None:
    layer = GroupNorm(2, 8)
    nn.init.normal_(layer.weight)
    assert min(norm_errors(layer)) > 0.1


def test_reflections_exchange_left_and_right() -> None:
    plan = planned("mirror", 3)
    network, x = drawn(plan), image(plan)
    with torch.inference_mode():
        scores, mirrored = network(x), network(x.flip(2)).flip(2)
    torch.testing.assert_close(mirrored, scores[:, [0, 2, 1, 3]], atol=1e-5, rtol=0)
    assert (scores[:, 1] - scores[:, 2]).abs().max() > 0.1


def test_without_pairs_all_scores_stay() -> None:
    plan = replace(planned("mirror", 2), mirror_swaps=())
    network, x = drawn(plan), image(plan)
    with torch.inference_mode():
        torch.testing.assert_close(network(x.flip(2)).flip(2), network(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("group", "dims"), GROUPS)
def test_parameters_are_those_of_the_plain_network_by_the_order(group: str, dims: int) -> None:
    plan = planned(group, dims)
    network = build_network(plan)
    order = len(window_elements(plan))
    assert parameters(convolutions(plan)) == count_parameters(network)
    plain = build_network(replace(plan, network=replace(plan.network, name="unet", symmetry=None)))
    weights = network.state_dict()
    for name, tensor in plain.state_dict().items():
        of_score = "head" in name and name.endswith("bias")
        assert tensor.numel() == (1 if of_score else order) * weights[name].numel()


def test_parameters_of_a_regular_convolution_by_hand() -> None:
    # 24 channels to 24: 27 * 24 * 24 weights in a plain convolution.
    plan = planned("octahedral24", 3, convs=2, stages=2)
    second = build_network(plan).get_parameter("encoder.0.1.conv.weight")
    assert second.shape == (1, 24, 3, 3, 3)
    assert second.numel() == 27 * 24 * 24 // 24


@pytest.mark.parametrize(("group", "dims"), GROUPS)
def test_merged_layers_are_plain_and_compute_the_same(group: str, dims: int) -> None:
    plan = planned(group, dims)
    network, x = drawn(plan), image(plan)
    plain = fuse(copy.deepcopy(network))
    assert all(tensor.is_contiguous() for tensor in plain.parameters())  # repeats are slow
    assert not any(isinstance(module, Filters | OrbitNorm) for module in plain.modules())
    with torch.inference_mode():
        assert torch.equal(plain(x), network(x))
        assert torch.equal(plain.features(x), network.features(x))  # type: ignore[operator]


def test_features_and_head_make_the_scores() -> None:
    plan = planned("p4m", 2)
    network, x = drawn(plan), image(plan)
    assert torch.equal(network(x), network.head(network.features(x)))  # type: ignore[operator]
    finest, coarser = network.train()(x)
    assert (finest.shape, coarser.shape) == ((1, 4, 8, 12), (1, 4, 4, 6))


@pytest.mark.parametrize("batch", [1, 2])
def test_bfloat16_and_channels_last_stay_near_float32(batch: int) -> None:
    plan = planned("d4", 3)
    network, x = drawn(plan), image(plan, batch=batch)
    expected = network(x)
    network_to_memory_format(network, "channels_last")
    last = x.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(network(last), expected, atol=1e-4, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(last)
    assert (half.float() - expected).abs().mean() < 0.1 * expected.std()


def test_weights_are_read_back_without_the_memory_of_a_full_network() -> None:
    plan = planned("p4m", 2)
    network, x = drawn(plan), image(plan)
    again = fill_network(plan, network.state_dict(), Path("model"))
    assert isinstance(again, EquivariantUNet)
    assert torch.equal(again(x), network(x))


def test_scores_of_a_new_network_are_as_large_as_those_of_a_plain_one() -> None:
    plan = planned("octahedral24", 3)
    plain = replace(plan, network=replace(plan.network, name="unet", symmetry=None))
    x, sizes = image(plan, (16, 16, 16)), []
    for each in (plan, plain):
        torch.manual_seed(0)
        sizes.append(float(build_network(each).eval()(x).detach().square().mean()))
    assert 0.1 < sizes[0] / sizes[1] < 10


def test_odd_sizes_are_an_error() -> None:
    plan = planned("p4", 2)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        drawn(plan)(image(plan, (7, 8)))


def test_moving_back_gives_the_same_scores() -> None:
    plan = planned("p4m", 2)
    network, x = drawn(plan), image(plan, (16, 16))
    with torch.inference_mode():
        scores = network(x)
        for element in window_elements(plan):
            back = moved_scores(network(moved(x, element)), element.inverse, plan)
            torch.testing.assert_close(back, scores, atol=1e-5, rtol=0)
