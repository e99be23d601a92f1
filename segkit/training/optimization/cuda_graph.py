"""Training loss of a batch; on a GPU recorded once as a CUDA graph and replayed from then on.

A training step of a small network consists of hundreds of kernels of a few microseconds each.
Launched one by one from Python they take several times as long as the GPU needs for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from segkit.config.schema import TrainerConfig
from segkit.networks.kernels.cuda_norm import for_all_sizes
from segkit.networks.precision import ComputeMode
from segkit.networks.unet import UNet
from segkit.sliding_window.windows import apply_network
from segkit.training.optimization.losses import DeepSupervision, NnUNetLoss

log = logging.getLogger(__name__)

Loss = Callable[[Tensor, Tensor], Tensor]
"""Function of images (B, C, X, Y, Z) and labels (B, X, Y, Z)."""


class TrainingLoss(nn.Module):
    """Forward pass of ``network`` in the precision of ``mode``, followed by ``loss``."""

    def __init__(
        self, network: nn.Module, loss: nn.Module, *, slice_axis: int | None, mode: ComputeMode
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.slice_axis = slice_axis
        self.mode = mode

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of images (B, C, X, Y, Z) and labels (B, X, Y, Z) of any integer type."""
        with self.mode.autocast(images.device):
            scores = apply_network(self.mode.wrap(self.network), images, self.slice_axis)
        result: Tensor = self.loss(scores, labels.long())
        return result


class GraphedLoss:
    """Training loss that records itself as a CUDA graph with the first batch, where possible.

    Later batches of the same shape replay the graph. Nothing is recorded with ``save_memory``,
    because a graph keeps all activations, nor with ``accumulate``, because replaying overwrites the
    gradients of the batch before.
    """

    def __init__(self, step: TrainingLoss, trainer: TrainerConfig) -> None:
        self.step = step
        self._decided = trainer.save_memory or trainer.accumulate > 1
        self._graph: Loss | None = None
        self._shape: torch.Size | None = None

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, as `TrainingLoss`."""
        if not self._decided:
            self._decided, self._shape = True, images.shape
            if can_be_graphed(self.step, images):
                self._graph = record_graph(self.step, images, labels)
        if self._graph is not None and images.shape == self._shape:
            return self._graph(images, labels)
        loss: Tensor = self.step(images, labels)
        return loss


class _Recordable(nn.Module):
    """Wrapper that is recorded in place of ``step``.

    PyTorch changes the module that it records, and ``step`` itself must still take other shapes.
    """

    def __init__(self, step: TrainingLoss) -> None:
        super().__init__()
        self.step = step

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = self.step(images, labels)
        return loss


def can_be_graphed(step: TrainingLoss, images: Tensor) -> bool:
    """Return whether ``step`` is known to run without waiting for the GPU.

    This holds for segkit's own U-Nets and losses, outside of another autocast: the graph would also
    record the copies of the weights that Lightning's autocast for float16 makes.
    """
    if not images.is_cuda or torch.is_autocast_enabled(images.device.type):
        return False
    if not (isinstance(step.network, UNet) and isinstance(step.loss, DeepSupervision)):
        return False
    return not any(isinstance(part, NnUNetLoss) for part in step.loss.modules())


def record_graph(step: TrainingLoss, images: Tensor, labels: Tensor) -> Loss | None:
    """Record ``step`` and its backward pass as CUDA graphs; on failure, warn and return None.

    Args:
        step: the loss to record.
        images: (B, C, X, Y, Z) of the shape of all batches to come.
        labels: (B, X, Y, Z).
    """
    # A recorded backward pass delivers its gradients from another stream, and PyTorch would warn.
    set_warning = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
    if set_warning:
        set_warning(False)
    # The trial runs must change neither the running statistics of a BatchNorm nor the random state.
    buffers = {name: buffer.clone() for name, buffer in step.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[images.device]), for_all_sizes():
            graphed = torch.cuda.make_graphed_callables(
                _Recordable(step), (images.clone(), labels.clone())
            )
    except RuntimeError as error:
        log.warning("steps are not recorded, which makes small ones slower: %s", error)
        torch.cuda.synchronize(images.device)
        return None
    finally:
        for name, buffer in step.named_buffers():
            buffer.copy_(buffers[name])
    return cast(Loss, graphed)
