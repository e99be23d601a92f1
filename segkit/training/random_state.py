"""torch's own random numbers, kept over a resume: patches do not use them, but a network with dropout does."""

from __future__ import annotations

import torch
from torch import Tensor


def random_state() -> dict[str, list[Tensor]]:
    """The states of the generators of the CPU and of every GPU, to be kept in a checkpoint."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": [torch.get_rng_state()], "cuda": gpus}


def restore_random_state(state: dict[str, list[Tensor]]) -> None:
    """Go on with the numbers that would have come after `random_state`; another number of GPUs keeps its own."""
    torch.set_rng_state(state["cpu"][0])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
