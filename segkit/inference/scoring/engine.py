"""Engines that compute networks: PyTorch, or OpenVINO on a CPU where its extra is installed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from threading import Lock
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.networks.openvino_graph import KNOWN_NETWORKS, GraphBuilder
from segkit.networks.unet import UNet, spatial_axes
from segkit.plans.plan import Plan

log = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]
"""Function from windows (B, C, X, Y[, Z]) to scores, or to the features before the last layer."""


class Engine(Protocol):
    """Function that turns a network into a `Forward`."""

    def __call__(self, network: nn.Module, *, scores: bool) -> Forward:
        """Return a function that computes the ``scores`` of windows, or else their features.

        Only segkit's own networks have features.
        """
        ...


ENGINES = ("auto", "torch", "openvino")
INSTALL = "pip install 'segkit[openvino]'"
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""OpenVINO's name of each precision that it computes in."""


def choose_engine(
    name: str, *, device: torch.device, precision: str, networks: Sequence[nn.Module]
) -> str:
    """Return ``torch`` or ``openvino``; ``auto`` is OpenVINO where it can compute the networks.

    Args:
        name: auto, torch or openvino.
        device: device of the networks.
        precision: float32, bfloat16 or float16.
        networks: networks of all models and folds.

    Raises:
        UsageError: ``name`` is not an engine, or OpenVINO where it cannot compute the networks.
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
    """Return why OpenVINO cannot compute the networks, as the end of a sentence; None if it can."""
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
        return "has no bfloat16 on this processor: use --precision float32"
    return None


def network_obstacle(networks: Sequence[nn.Module]) -> str | None:
    """Return why OpenVINO cannot compute networks, as the end of a sentence; None if it can."""
    unknown = [
        type(network).__name__ for network in networks if type(network) not in KNOWN_NETWORKS
    ]
    if unknown:
        return (
            f"supports segkit's own U-Nets, not the network {unknown[0]}, which only torch computes"
        )
    return None if installed() else f"needs the package openvino. Type: {INSTALL}"


def installed(package: str = "openvino") -> bool:
    """Return whether a package is installed."""
    try:
        distribution(package)  # find_spec would take a folder of this name for the package
    except PackageNotFoundError:
        return False
    return True


def make_engine(name: str, plan: Plan, precision: str) -> Engine:
    """Return the engine of a name that `choose_engine` returned, for the windows of a plan."""
    return torch_engine if name == "torch" else OpenVinoEngine(plan, precision)


def torch_engine(network: nn.Module, *, scores: bool) -> Forward:
    """Return the network itself, or its method that computes features.

    Raises:
        TypeError: features of a network that is not segkit's own.
    """
    if scores:
        return network
    if not isinstance(network, UNet):
        raise TypeError(f"{type(network).__name__} has no features")
    return network.features


class OpenVinoEngine:
    """Engine that compiles networks with OpenVINO for one window of the plan.

    A network is compiled for as many threads as PyTorch has at that time.
    """

    def __init__(self, plan: Plan, precision: str) -> None:
        self.precision = precision
        self._shape = (1, len(plan.channels), *(plan.patch[axis] for axis in spatial_axes(plan)))

    def __call__(self, network: nn.Module, *, scores: bool) -> Forward:
        """Return the compiled network (see `Engine`).

        Raises:
            TypeError: a network that is not a U-Net of segkit.
        """
        if not isinstance(network, UNet):
            raise TypeError(f"{type(network).__name__} is not a U-Net")
        options = {
            # Without the hint, OpenVINO takes bfloat16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": PRECISIONS[self.precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # the scheduler of the machine assigns the cores
        }
        compiled = _core().compile_model(self.graph(network, scores=scores), "CPU", options)
        return CompiledNetwork(compiled.create_infer_request())

    def graph(self, network: UNet, *, scores: bool) -> Any:
        """Return the network as an OpenVINO model of one window, to ``scores`` or to features."""
        openvino = load_openvino()
        windows, output = GraphBuilder(openvino.opset14).unet(network, self._shape, head=scores)
        return openvino.Model([output], [windows], "unet")


class CompiledNetwork:
    """Network compiled by OpenVINO; it computes one window at a time, because two took as long."""

    def __init__(self, request: Any) -> None:
        self._request = request
        # Several threads may predict with one model, and a request has one set of buffers.
        self._one_at_a_time = Lock()

    def __call__(self, windows: Tensor) -> Tensor:
        """Return the outputs (B, K, X, Y[, Z]) of windows (B, C, X, Y[, Z]), both float32."""
        outputs = [self._compute(window) for window in windows.contiguous()[:, None]]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _compute(self, window: Tensor) -> Tensor:
        # Outputs are copied, because the next window is written into the same memory.
        with self._one_at_a_time:
            return torch.from_numpy(self._request.infer([window.numpy()], share_inputs=True)[0])


@lru_cache
def _core() -> Any:
    return load_openvino().Core()


def load_openvino() -> Any:
    """Return the package openvino, imported without the package that reports each import online.

    None in `sys.modules` makes openvino take its own substitute for that package.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # noqa: PLC0415 - an optional extra

    return openvino
