"""The loss of a whole batch, of which each rank has a part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.training.compute.distributed import Ranks


class GatheredLoss(nn.Module):
    """``loss`` of the scores of all ranks together: the number that one process with the whole batch would get.

    Dice and the weights of rare labels are of a batch, so a mean over the ranks' own losses would be another loss. The
    scores of the other ranks come without gradients; those of this rank get a gradient ``count`` times as large, which
    Lightning's mean over the ranks takes back.
    """

    def __init__(self, loss: nn.Module, ranks: Ranks) -> None:
        super().__init__()
        self.loss = loss
        self.ranks = ranks

    def forward(self, scores: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
        heads = [scores] if isinstance(scores, Tensor) else list(scores)
        together = [self._together(head.float()) for head in heads]
        # Smaller than the int64 of labels, and wide enough for their indices.
        everywhere = torch.cat(self.ranks.gather(labels.int())).long()
        result: Tensor = self.loss(
            together[0] if isinstance(scores, Tensor) else together, everywhere
        )
        return result

    def _together(self, own: Tensor) -> Tensor:
        parts = self.ranks.gather(own)
        if own.requires_grad:
            own.register_hook(lambda gradient: gradient * self.ranks.count)  # type: ignore[no-untyped-call]
        parts[self.ranks.number] = own
        return torch.cat(parts)
