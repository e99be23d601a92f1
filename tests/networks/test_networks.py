"""Networks by name: shapes, heads, widths of the plan, and plans that are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segkit.errors import InputError
from segkit.networks import build_network, count_parameters
from segkit.networks.blocks import ACTIVATIONS, ConvBlock
from segkit.plans.plan import Plan, StagePlan

MakePlan = Callable[..., Plan]


def with_network(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, network=replace(plan.network, **changes))


def with_stage(plan: Plan, part: str, index: int, **changes: Any) -> Plan:
    stages: list[StagePlan] = list(getattr(plan.network, part))
    stages[index] = replace(stages[index], **changes)
    return with_network(plan, **{part: tuple(stages)})


def image(plan: Plan, batch: int = 2) -> Tensor:
    edges = plan.patch if plan.dims == 3 else plan.patch[:2]
    return torch.randn(batch, 2, *edges, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["unet", "residual_unet", "monai_dynunet"])
def test_training_gives_scores_per_decoder_stage_and_eval_the_finest(
    make_plan: MakePlan, residual: Callable[[Plan], Plan], name: str, dims: int
) -> None:
    plan = make_plan(dims=dims)
    plan = residual(plan) if name == "residual_unet" else with_network(plan, name=name)
    network, x = build_network(plan), image(plan)
    finest, coarser = network(x)
    edges = tuple(x.shape[2:])
    assert finest.shape == (2, 3, *edges)
    assert coarser.shape == (2, 3, 8, 8, 8)[: 2 + dims]
    scores = network.eval()(x)
    assert torch.equal(scores, network.head(network.features(x)))  # type: ignore[operator]
    assert torch.equal(scores, finest)


@pytest.mark.parametrize("dims", [2, 3])
def test_segresnet_gives_scores_at_full_resolution(make_plan: MakePlan, dims: int) -> None:
    plan = with_network(make_plan(dims=dims), name="monai_segresnet")
    network, x = build_network(plan), image(plan)
    scores = network(x)
    assert scores.shape == (2, 3, *x.shape[2:])
    assert torch.equal(network.eval()(x), network.head(network.features(x)))  # type: ignore[operator]


@pytest.mark.parametrize("name", ["unet", "residual_unet", "monai_dynunet", "monai_segresnet"])
def test_weights_stand_once_and_every_one_learns(
    make_plan: MakePlan, residual: Callable[[Plan], Plan], name: str
) -> None:
    plan = (
        residual(make_plan()) if name == "residual_unet" else with_network(make_plan(), name=name)
    )
    network = build_network(plan)
    weights = network.state_dict()
    assert len({tensor.data_ptr() for tensor in weights.values()}) == len(weights)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    scores = network(image(plan))
    sum(
        each.square().mean() for each in (scores if isinstance(scores, list) else [scores])
    ).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_without_deep_supervision_training_gives_one_tensor(make_plan: MakePlan) -> None:
    plan = make_plan(deep_supervision=False)
    assert build_network(plan)(image(plan)).shape == (2, 3, 16, 16, 8)


def test_a_single_stage_is_a_network(make_plan: MakePlan) -> None:
    plan = make_plan()
    plan = with_network(plan, encoder=plan.network.encoder[:1], decoder=())
    network = build_network(plan)
    assert network(image(plan)).shape == (2, 3, 16, 16, 8)


def test_kernels_strides_and_padding_come_from_the_plan(make_plan: MakePlan) -> None:
    network = build_network(make_plan())
    convs = [module for module in network.modules() if isinstance(module, nn.Conv3d)]
    assert [conv.kernel_size for conv in convs[:4]] == [(3, 3, 1), (3, 3, 1), (3, 3, 3), (3, 3, 3)]
    assert [conv.stride for conv in convs[:5]] == [
        (1, 1, 1),
        (1, 1, 1),
        (2, 2, 1),
        (1, 1, 1),
        (2, 2, 2),
    ]
    assert convs[0].padding == (1, 1, 0)
    ups = [module for module in network.modules() if isinstance(module, nn.ConvTranspose3d)]
    assert [up.kernel_size for up in ups] == [(2, 2, 2), (2, 2, 1)]


def test_parameters_by_hand(make_plan: MakePlan) -> None:
    # 2D, widths 4 and 8, 9 weights per kernel, 2 parameters per normalized channel, and a bias
    # for upsampling and heads.
    encoder = 9 * (2 * 4 + 4 * 4) + 2 * 2 * 4 + 9 * (4 * 8 + 8 * 8) + 2 * 2 * 8
    decoder = 4 * 8 * 4 + 4 + 9 * (8 * 4 + 4 * 4) + 2 * 2 * 4
    head = 3 * 4 + 3
    assert (
        count_parameters(build_network(make_plan(dims=2, widths=(4, 8))))
        == encoder + decoder + head
    )


@pytest.mark.parametrize("norm", ["group", "group_ws", "batch", "batch_renorm", "none"])
@pytest.mark.parametrize("dims", [2, 3])
def test_bias_only_without_a_norm(make_plan: MakePlan, norm: str, dims: int) -> None:
    first = build_network(make_plan(norm=norm, dims=dims)).encoder[0][0]  # type: ignore[index]
    assert (first.conv.bias is not None) == (norm == "none")
    assert len(build_network(make_plan(norm=norm, dims=dims))(image(make_plan(dims=dims)))) == 2


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["unet", "monai_dynunet", "monai_segresnet"])
def test_every_activation_can_be_trained(make_plan: MakePlan, activation: str, name: str) -> None:
    plan = with_network(make_plan(dims=2, activation=activation, deep_supervision=False), name=name)
    network = build_network(plan)
    network(image(plan)).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_a_fresh_network_keeps_the_scale_of_its_input(make_plan: MakePlan) -> None:
    torch.manual_seed(0)
    plan = make_plan(widths=(16, 32, 64), norm="none")
    features = build_network(plan).features(image(plan))  # type: ignore[operator]
    assert 0.3 < features.square().mean() < 3


def test_a_fresh_residual_block_passes_its_shortcut_on(
    make_plan: MakePlan, residual: Callable[[Plan], Plan]
) -> None:
    plan = residual(make_plan())
    network, x = build_network(plan), image(plan)
    block = network.encoder[0][0]  # type: ignore[index]
    assert torch.equal(block(x), nn.functional.leaky_relu(block.shortcut(x), 0.01))


def test_a_block_without_skip_layer_adds_its_input(
    make_plan: MakePlan, residual: Callable[[Plan], Plan]
) -> None:
    plan = residual(make_plan())
    first = plan.network.encoder[0]
    plan = with_stage(plan, "encoder", 0, layers=(*first.layers, *first.layers[:2]))
    network, x = build_network(plan), torch.randn(1, 4, 8, 8, 8)
    block = network.encoder[0][1]  # type: ignore[index]
    assert torch.equal(block(x), nn.functional.leaky_relu(x, 0.01))


def test_a_pruned_plan_is_just_another_plan(make_plan: MakePlan) -> None:
    plan = make_plan(widths=(4, 8, 16))
    first, second = plan.network.encoder[1].layers
    pruned = with_stage(plan, "encoder", 1, layers=(replace(first, channels=6, groups=3), second))
    last = replace(plan.network.decoder[0].layers[1], channels=2, groups=1)
    pruned = with_stage(pruned, "decoder", 0, layers=(plan.network.decoder[0].layers[0], last))
    network = build_network(pruned)
    assert [tuple(each.shape[1:]) for each in network(image(pruned))] == [
        (3, 16, 16, 8),
        (3, 8, 8, 8),
    ]
    assert network.encoder[1][0].norm.num_groups == 3  # type: ignore[index]
    assert count_parameters(network) < count_parameters(build_network(plan))


def test_groups_are_read_whatever_window_comes(make_plan: MakePlan) -> None:
    plan = make_plan(per_group=4)
    network = build_network(plan)
    groups = [module.num_groups for module in network.modules() if isinstance(module, nn.GroupNorm)]
    assert groups == [layer.groups for layer in plan.network.layers]
    assert network(torch.randn(1, 2, 4, 8, 2))[0].shape == (1, 3, 4, 8, 2)


def test_channels_last_stays_channels_last(make_plan: MakePlan) -> None:
    plan = make_plan()
    network = build_network(plan).eval().to(memory_format=torch.channels_last_3d)
    x = image(plan)
    features = network.features(x.to(memory_format=torch.channels_last_3d))  # type: ignore[operator]
    assert features.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(network.head(features), network(x), rtol=0, atol=1e-4)  # type: ignore[operator]


def test_our_networks_do_not_import_monai() -> None:
    code = (
        "import sys, segkit.networks.unet, segkit.sliding_window.scores;"
        " sys.exit('monai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_network_is_refused_with_near_misses(make_plan: MakePlan) -> None:
    with pytest.raises(
        InputError,
        match=r"expected one of unet, .*found 'resudual_unet'. Did you mean residual_unet",
    ):
        build_network(with_network(make_plan(), name="resudual_unet"))
    with pytest.raises(InputError, match=r"found 'transformer'. Is the plan from a newer segkit"):
        build_network(with_network(make_plan(), name="transformer"))


def test_unknown_activation_is_refused_with_near_misses(make_plan: MakePlan) -> None:
    with pytest.raises(
        InputError, match=r"network.activation: .*found 'leakyrelu'. Did you mean leaky_relu"
    ):
        build_network(make_plan(activation="leakyrelu"))


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("encoder", {"layers": ()}, r"network.encoder\[0\].layers: expected one layer or more"),
        (
            "encoder",
            {"kernel": (2, 3, 3)},
            r"network.encoder\[0\].kernel: expected odd edges, found \(2, 3, 3\)",
        ),
        ("decoder", {"kernel": (3, 3, 0)}, r"network.decoder\[0\].kernel: expected odd edges"),
        (
            "decoder",
            {"stride": (0, 2, 2)},
            r"network.decoder\[0\].stride: expected strides of 1 or more",
        ),
        (
            "encoder",
            {"stride": (2, 1, 1)},
            r"network.encoder\[0\].stride: expected \(1, 1, 1\), found \(2, 1, 1\)",
        ),
        (
            "decoder",
            {"stride": (1, 2, 2)},
            r"network.decoder: expected strides that undo the encoder's",
        ),
    ],
)
def test_stages_that_do_not_fit_are_refused(
    make_plan: MakePlan, part: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_network(with_stage(make_plan(), part, 0, **changes))


def test_a_missing_decoder_stage_is_refused(make_plan: MakePlan) -> None:
    with pytest.raises(InputError, match="one decoder stage less, found 3 and 0"):
        build_network(with_network(make_plan(), decoder=()))


def test_a_2d_network_has_flat_kernels_and_a_known_slice_axis(make_plan: MakePlan) -> None:
    plan = make_plan(dims=2)
    with pytest.raises(InputError, match="expected kernel and stride 1 along slice axis 2"):
        build_network(with_stage(plan, "encoder", 0, kernel=(3, 3, 3)))
    with pytest.raises(InputError, match="slice_axis: expected 0, 1 or 2, found 5"):
        build_network(replace(plan, slice_axis=5))


def test_residual_blocks_must_be_whole_and_fit(
    make_plan: MakePlan, residual: Callable[[Plan], Plan]
) -> None:
    plan = residual(make_plan())
    conv1, conv2, skip = plan.network.encoder[1].layers
    with pytest.raises(
        InputError, match=r"expected blocks of .conv1, .conv2 .*, found conv2, conv1"
    ):
        build_network(with_stage(plan, "encoder", 1, layers=(conv2, conv1)))
    with pytest.raises(
        InputError,
        match=r"layer encoder1.conv1: expected a .skip layer .*found 4 \+ 8 channels, no",
    ):
        build_network(with_stage(plan, "encoder", 1, layers=(conv1, conv2)))
    with pytest.raises(InputError, match=r"found 6 \+ 8 channels, a .skip layer"):
        build_network(
            with_stage(
                plan, "encoder", 1, layers=(conv1, conv2, replace(skip, channels=6, groups=3))
            )
        )


def test_monai_networks_refuse_what_they_cannot_be(make_plan: MakePlan) -> None:
    with pytest.raises(InputError, match="expected 3 stages or more for DynUNet, found 2"):
        build_network(with_network(make_plan(widths=(4, 8)), name="monai_dynunet"))
    with pytest.raises(
        InputError, match=r"patch: expected multiples of 4 for SegResNet, found \(16, 16, 6\)"
    ):
        build_network(replace(with_network(make_plan(), name="monai_segresnet"), patch=(16, 16, 6)))
    with pytest.raises(
        InputError,
        match="widths that divide into 8 groups, which most layers have, found 4 channels",
    ):
        build_network(with_network(make_plan(widths=(4, 16, 16)), name="monai_dynunet"))
    with pytest.raises(
        InputError,
        match="expected group, batch or none as the norm of monai_dynunet, found batch_renorm",
    ):
        build_network(with_network(make_plan(norm="batch_renorm"), name="monai_dynunet"))


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_monai_networks_with_other_norms(make_plan: MakePlan, norm: str) -> None:
    network = build_network(with_network(make_plan(norm=norm), name="monai_dynunet"))
    assert not any(isinstance(module, nn.GroupNorm) for module in network.modules())


def test_instance_norm_stays_instance_norm_in_monai_networks(make_plan: MakePlan) -> None:
    network = build_network(with_network(make_plan(per_group=1), name="monai_dynunet"))
    norms = [module for module in network.modules() if isinstance(module, nn.InstanceNorm3d)]
    assert len(norms) == len(make_plan().network.layers)
    assert all(module.affine for module in norms)


@pytest.mark.parametrize("dims", [2, 3])
def test_upsampling_starts_without_a_checkerboard(make_plan: MakePlan, dims: int) -> None:
    torch.manual_seed(0)
    up = build_network(make_plan(dims=dims, widths=(16, 64))).decoder[0].up  # type: ignore[index, union-attr]
    coarse = torch.randn(1, 64, *[3] * dims)
    fine = up(coarse)
    firsts = fine[(..., *(slice(None, None, edge) for edge in up.stride))]
    assert torch.allclose(fine, nn.functional.interpolate(firsts, size=fine.shape[2:]))
    assert fine.std().item() == pytest.approx(1, abs=0.2)


def test_a_block_without_activation_ends_in_its_norm(make_plan: MakePlan) -> None:
    layer = make_plan(widths=(8, 8)).network.encoder[0].layers[0]
    block = ConvBlock(2, layer, kernel=[3, 3, 3], stride=[1, 1, 1], activation=None)
    x = torch.randn(1, 2, 4, 4, 4)
    assert torch.equal(block(x), block.norm(block.conv(x)))
