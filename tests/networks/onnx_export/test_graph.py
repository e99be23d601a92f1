"""Every network of the catalogue, written as ONNX, gives its scores in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from segkit.errors import InputError
from segkit.networks import build_network
from segkit.networks.fusion import fuse
from segkit.networks.onnx_export.graph import INPUT, MOST_BYTES, OUTPUT, check_size, onnx_model
from segkit.networks.unet import spatial_axes
from segkit.plans.network_catalogue import NETWORKS
from segkit.plans.norm_catalogue import NORMS
from segkit.plans.plan import Plan
from tests.networks.onnx_export.test_operations import computed
from tests.symmetric_plans import symmetric_plan

onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")

MakePlan = Callable[..., Plan]
Make = Callable[[str, int, str, str], Plan]


@pytest.fixture
def planned(make_plan: MakePlan, residual: Callable[[Plan], Plan]) -> Make:
    """Return planned(network, dims, kind of norm, activation): a plan of three narrow stages."""

    def make(name: str, dims: int, norm: str, activation: str) -> Plan:
        plan = make_plan(norm=norm, dims=dims, activation=activation)
        if name == "residual_unet":
            return residual(plan)
        return replace(plan, network=replace(plan.network, name=name))

    return make


def drawn(plan: Plan) -> nn.Module:
    """Return a network whose parameters, including those of norms, are all random."""
    torch.manual_seed(0)
    network = build_network(plan).eval().requires_grad_(False)
    for name, values in network.state_dict().items():
        if values.is_floating_point():
            values.uniform_(0.5, 2) if name.endswith(
                ("running_var", "running_std")
            ) else values.normal_()
    return network


def check(plan: Plan) -> None:
    network = drawn(plan)
    shape = (2, *(plan.patch[axis] for axis in spatial_axes(plan)))
    model = onnx_model(network, shape, onnx)
    for number in (1, 3):
        windows = torch.randn(number, *shape)
        expected = network(windows)
        torch.testing.assert_close(
            computed(model, windows), expected, rtol=0, atol=1e-4 * float(expected.std())
        )
    assert [opset.version for opset in model.opset_import] == [21]
    forms = [value.type.tensor_type for value in (*model.graph.input, *model.graph.output)]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == [INPUT, OUTPUT]
    assert {form.elem_type for form in forms} == {onnx.TensorProto.FLOAT}
    assert {form.shape.dim[0].dim_param for form in forms} == {"number"}
    assert [edge.dim_value for edge in forms[0].shape.dim[1:]] == list(shape)
    # Nothing about this machine, which PyTorch's exporter writes there, and no lower head.
    assert not [node.name for node in model.graph.node if node.doc_string or node.metadata_props]
    assert not [tensor.name for tensor in model.graph.initializer if "deep" in tensor.name]


@pytest.mark.parametrize(
    ("name", "dims", "norm", "activation"),
    [
        ("unet", 3, "group", "leaky_relu"),
        ("unet", 2, "group_ws", "silu"),
        ("unet", 3, "batch_renorm", "gelu"),
        ("residual_unet", 2, "batch", "relu"),
        ("monai_dynunet", 3, "group", "leaky_relu"),
        ("monai_segresnet", 2, "group", "leaky_relu"),
    ],
)
def test_networks_in_onnxruntime(
    planned: Make, name: str, dims: int, norm: str, activation: str
) -> None:
    check(planned(name, dims, norm, activation))


@pytest.mark.parametrize(("group", "dims"), [("p4m", 2), ("octahedral24", 3)])
def test_an_equivariant_network_with_its_kernels_written_out(group: str, dims: int) -> None:
    plan = symmetric_plan(group, slice_axis=None if dims == 3 else 2)
    network, windows = drawn(plan), torch.randn(1, 2, *[16] * dims)
    expected = network(windows)
    found = computed(onnx_model(fuse(network), windows.shape[1:], onnx), windows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.std()))


KINDS = sorted({entry.kind for entry in NORMS.values()})
PLANNED = [name for name, row in NETWORKS.items() if "network.symmetry" not in row.settings]
"""Networks that the plans above suit; one with a symmetry needs other plans."""
WITHOUT = {name: ("group_ws", "batch_renorm") for name in NETWORKS if name.startswith("monai")}
"""Norms that a network cannot have."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dims", "norm"), list(product(PLANNED, (2, 3), KINDS)))
def test_all_networks_in_onnxruntime(planned: Make, name: str, dims: int, norm: str) -> None:
    if norm in WITHOUT.get(name, ()):
        pytest.skip(f"{name} has no {norm}")
    check(planned(name, dims, norm, "leaky_relu"))


def test_too_many_weights_for_a_file() -> None:
    check_size(MOST_BYTES)
    message = "expected at most 2.1 GB of weights, which an .onnx file holds, found 3.0 GB. Export"
    with pytest.raises(InputError, match=message):
        check_size(3 * 10**9)


def test_a_network_in_training_mode_is_refused(make_plan: MakePlan) -> None:
    with pytest.raises(TypeError, match=r"call its eval\(\) before exporting it"):
        onnx_model(build_network(make_plan()), (2, 16, 16, 8), onnx)
