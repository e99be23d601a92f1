"""What computes the networks: PyTorch, or OpenVINO on a CPU where its extra is installed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.networks.openvino_graph import KNOWN_NETWORKS, GraphBuilder
from segkit.networks.unet import UNet, spatial_axes
from segkit.plans.plan import Plan

log = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]
"""Windows (B, C, X, Y[, Z]) to scores, or to what enters the last layer."""
Engine = Callable[[nn.Module, bool], Forward]
"""Makes that of a network; True asks for scores, and False is for segkit's own networks only."""

ENGINES = ("auto", "torch", "openvino")
INSTALL = "pip install 'segkit[openvino]'"
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""In OpenVINO's words."""


def choose_engine(
    name: str, *, device: torch.device, precision: str, networks: Sequence[nn.Module]
) -> str:
    """``torch`` or ``openvino``. ``auto`` is OpenVINO where it can compute what is asked for.

    Raises:
        UsageError: another word, or OpenVINO where it cannot.
    """
    if name not in ENGINES:
        raise UsageError(f"--engine {name}: must be {', '.join(ENGINES)}")
    if name == "torch":
        return name
    obstacle = _obstacle(device, precision, networks)
    if obstacle and name == "openvino":
        raise UsageError(f"--engine openvino {obstacle}")
    chosen = "torch" if obstacle else "openvino"
    log.info("computing with %s%s", chosen, f": OpenVINO {obstacle}" if obstacle else "")
    return chosen


def _obstacle(device: torch.device, precision: str, networks: Sequence[nn.Module]) -> str | None:
    """Why OpenVINO cannot compute this, in words that follow its name."""
    if device.type != "cpu":
        return f"computes on a CPU, not on {device}: add --device cpu"
    if precision not in PRECISIONS:
        return f"computes in {' or '.join(PRECISIONS)}, not in {precision}"
    obstacle = network_obstacle(networks)
    if obstacle:
        return obstacle
    if precision == "bfloat16" and "BF16" not in _core().get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        return "has no bfloat16 on this processor: take --precision float32"
    return None


def network_obstacle(networks: Sequence[nn.Module]) -> str | None:
    """Why OpenVINO cannot have these networks, in words that follow its name."""
    foreign = [
        type(network).__name__ for network in networks if type(network) not in KNOWN_NETWORKS
    ]
    if foreign:
        return (
            f"knows segkit's own U-Nets, not the network {foreign[0]}, which PyTorch alone computes"
        )
    return None if installed() else f"needs the package openvino. Type: {INSTALL}"


def installed() -> bool:
    """Whether the package of the extra is there."""
    try:
        distribution("openvino")  # find_spec would take a folder of this name for the package
    except PackageNotFoundError:
        return False
    return True


def make_engine(name: str, plan: Plan, precision: str) -> Engine:
    """The engine that `choose_engine` chose, for windows as the plan has them."""
    return torch_engine if name == "torch" else OpenVinoEngine(plan, precision)


def torch_engine(network: nn.Module, scores: bool) -> Forward:
    """The network itself."""
    if scores:
        return network
    if not isinstance(network, UNet):
        raise TypeError(f"{type(network).__name__} has no features")
    return network.features


class OpenVinoEngine:
    """Compiles networks for one window of the plan, on as many threads as PyTorch has when it is called."""

    def __init__(self, plan: Plan, precision: str) -> None:
        self.precision = precision
        self._shape = (1, len(plan.channels), *(plan.patch[axis] for axis in spatial_axes(plan)))

    def __call__(self, network: nn.Module, scores: bool) -> Forward:
        """See Engine."""
        if not isinstance(network, UNet):
            raise TypeError(f"{type(network).__name__} is not a U-Net")
        options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[
                self.precision
            ],  # else bfloat16 wherever the processor has it
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # cores are the scheduler's to give
        }
        compiled = _core().compile_model(self.graph(network, scores=scores), "CPU", options)
        return CompiledNetwork(compiled.create_infer_request())

    def graph(self, network: UNet, *, scores: bool) -> Any:
        """The network as OpenVINO's model of one window."""
        openvino = load_openvino()
        windows, found = GraphBuilder(openvino.opset14).unet(network, self._shape, head=scores)
        return openvino.Model([found], [windows], "unet")


class CompiledNetwork:
    """A network in OpenVINO. Windows are computed one by one: two at once took as long, or longer."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._one_at_a_time = Lock()
        """Several threads may predict with one model, and a request has one set of buffers."""

    def __call__(self, windows: Tensor) -> Tensor:
        """(B, C, X, Y[, Z]), float32, to what the network says of them."""
        found = [self._one(window) for window in windows.contiguous()[:, None]]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _one(self, window: Tensor) -> Tensor:
        # Outputs are copied: their memory is written again with the next window.
        with self._one_at_a_time:
            return torch.from_numpy(self._request.infer([window.numpy()], share_inputs=True)[0])


@lru_cache
def _core() -> Any:
    return load_openvino().Core()


def load_openvino() -> Any:
    """The package, imported without the one by which it reports each import over the network.

    It has a stand-in for where that one is missing, which None in `sys.modules` makes it take.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # noqa: PLC0415 - an optional extra

    return openvino
