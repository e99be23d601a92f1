from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from segkit.errors import UsageError
from segkit.inference.scoring.engine import installed, load_openvino
from segkit.networks import build_network
from segkit.networks.blocks import ACTIVATIONS
from segkit.networks.fusion import fuse
from segkit.networks.openvino_graph import GraphBuilder
from segkit.networks.unet import UNet
from segkit.plans.plan import Plan
from tests.symmetric_plans import planned

MakePlan = Callable[..., Plan]

pytestmark = pytest.mark.skipif(not installed(), reason="needs the package openvino")


def drawn(plan: Plan) -> UNet:
    """Return a network whose parameters, including those of norms, are all random."""
    torch.manual_seed(0)
    network = build_network(plan).eval()
    assert isinstance(network, UNet)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if values.is_floating_point():
                values.uniform_(0.5, 2) if name.endswith(
                    ("running_var", "running_std")
                ) else values.normal_()
    return network


def computed(network: UNet, windows: torch.Tensor, *, head: bool) -> torch.Tensor:
    """Return the output of OpenVINO in float32."""
    openvino = load_openvino()
    start, end = GraphBuilder(openvino.opset14).unet(network, windows.shape, head=head)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(openvino.Model([end], [start], "unet"), "CPU", options)
    return torch.from_numpy(np.array(compiled([windows.numpy()])[0]))


def check(plan: Plan, edges: Sequence[int]) -> None:
    network, windows = drawn(plan), torch.randn(1, 2, *edges)
    with torch.inference_mode():
        for head, expected in ((True, network(windows)), (False, network.features(windows))):
            found = computed(network, windows, head=head)
            torch.testing.assert_close(
                found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
            )


@pytest.mark.parametrize("norm", ["group", "group_ws", "batch", "batch_renorm", "none"])
@pytest.mark.parametrize(("dims", "edges"), [(2, (16, 24)), (3, (16, 24, 8))])
def test_a_graph_says_what_the_network_says(
    make_plan: MakePlan, dims: int, edges: Sequence[int], norm: str
) -> None:
    check(make_plan(dims=dims, norm=norm), edges)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_known(make_plan: MakePlan, activation: str) -> None:
    check(make_plan(activation=activation), (16, 16, 8))


@pytest.mark.parametrize(("dims", "edges"), [(2, (16, 24)), (3, (16, 24, 8))])
def test_residual_blocks(
    make_plan: MakePlan, residual: Callable[[Plan], Plan], dims: int, edges: Sequence[int]
) -> None:
    check(residual(make_plan(dims=dims)), edges)


@pytest.mark.parametrize(
    ("group", "dims", "edges"), [("p4m", 2, (16, 24)), ("octahedral24", 3, (16, 24, 8))]
)
def test_an_equivariant_network_with_its_kernels_written_out(
    group: str, dims: int, edges: Sequence[int]
) -> None:
    network, windows = drawn(planned(group, dims)), torch.randn(1, 2, *edges)
    with torch.inference_mode():
        expected = network(windows)
        fuse(network)
        found = computed(network, windows, head=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_a_single_stage(make_plan: MakePlan) -> None:
    check(make_plan(widths=[4]), (16, 16, 8))


def test_an_unknown_layer_is_refused(make_plan: MakePlan) -> None:
    network = drawn(make_plan())
    network.encoder[0].append(nn.Dropout())
    message = "--engine openvino does not support the layer Dropout: use --engine torch"
    with pytest.raises(UsageError, match=message):
        computed(network, torch.zeros(1, 2, 16, 16, 8), head=True)


def test_a_block_without_skip_layer(make_plan: MakePlan, residual: Callable[[Plan], Plan]) -> None:
    plan = residual(make_plan())
    first = plan.network.encoder[0]
    # A second block of the same width and resolution: its shortcut is its input.
    longer = replace(first, layers=(*first.layers, *first.layers[:2]))
    check(
        replace(plan, network=replace(plan.network, encoder=(longer, *plan.network.encoder[1:]))),
        (16, 16, 8),
    )
