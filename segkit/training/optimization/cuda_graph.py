"""The loss of a batch; on a GPU recorded once, with its backward pass, and replayed from then on (CUDA graphs).

A step of a small network is hundreds of kernels of a few microseconds: started one by one from Python they take several
times as long as the GPU needs for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from segkit.config.schema import TrainerConfig
from segkit.networks.kernels.cuda_norm import whatever_the_size
from segkit.networks.precision import Mode
from segkit.networks.unet import UNet
from segkit.sliding_window.windows import apply_network
from segkit.training.optimization.losses import DeepSupervision, NnUNetLoss

log = logging.getLogger(__name__)

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of images (B, C, X, Y, Z) and labels (B, X, Y, Z)."""


class StepLoss(nn.Module):
    """``loss`` of images and labels, integers of any size; ``mode`` says how it is computed."""

    def __init__(
        self, network: nn.Module, loss: nn.Module, *, slice_axis: int | None, mode: Mode
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.slice_axis = slice_axis
        self.mode = mode

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        with self.mode.autocast(images.device):
            scores = apply_network(self.mode.wrap(self.network), images, self.slice_axis)
        result: Tensor = self.loss(scores, labels.long())
        return result


class ReplayedLoss:
    """``step`` of batches of one shape: recorded with the first one where that can be done, replayed for the others.

    Not with ``save_memory``, since what is recorded keeps all activations, nor where gradients of several batches are
    summed, since replaying writes over those of the batch before.
    """

    def __init__(self, step: StepLoss, trainer: TrainerConfig) -> None:
        self.step = step
        self._asked = trainer.save_memory or trainer.accumulate > 1
        """Whether it was asked, with the first batch, if the step can be recorded."""
        self._recorded: Loss | None = None
        self._shape: torch.Size | None = None

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        if not self._asked:
            self._asked, self._shape = True, images.shape
            self._recorded = (
                recorded(self.step, images, labels) if can_be_recorded(self.step, images) else None
            )
        use = self._recorded if self._recorded and images.shape == self._shape else self.step
        loss: Tensor = use(images, labels)
        return loss


class _Whole(nn.Module):
    """What is recorded in place of ``step``: PyTorch changes the module that it is given, for batches of any shape."""

    def __init__(self, step: StepLoss) -> None:
        super().__init__()
        self.step = step

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = self.step(images, labels)
        return loss


def can_be_recorded(step: StepLoss, images: Tensor) -> bool:
    """Only what is known to run without waiting for the GPU: segkit's own U-Nets and losses.

    Not inside of another autocast, as Lightning's for float16, whose copies of weights would be recorded.
    """
    if not images.is_cuda or torch.is_autocast_enabled(images.device.type):
        return False
    own = isinstance(step.network, UNet) and isinstance(step.loss, DeepSupervision)
    return own and not any(isinstance(part, NnUNetLoss) for part in step.loss.modules())


def recorded(step: StepLoss, images: Tensor, labels: Tensor) -> Loss | None:
    """``step`` with its backward pass as CUDA graphs; None if that fails, which is said."""
    # A recorded backward pass hands its gradients over from a stream of its own, which PyTorch would warn of.
    quiet = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
    if quiet:
        quiet(False)
    # Running statistics of a BatchNorm must not remember the trials; and all random numbers stay those of the training.
    buffers = {name: buffer.clone() for name, buffer in step.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[images.device]), whatever_the_size():
            graphed = torch.cuda.make_graphed_callables(
                _Whole(step), (images.clone(), labels.clone())
            )
    except RuntimeError as error:
        log.warning("steps are not recorded, which makes small ones slower: %s", error)
        torch.cuda.synchronize(images.device)
        return None
    finally:
        for name, buffer in step.named_buffers():
            buffer.copy_(buffers[name])
    return cast(Loss, graphed)
