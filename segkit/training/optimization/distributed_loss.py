"""Loss over the batch of all ranks, of which each rank has a part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segkit.training.compute.distributed import Ranks


class DistributedLoss(nn.Module):
    """``loss`` of the scores of all ranks: what one process would compute for the whole batch.

    Dice and the weights of rare labels depend on the whole batch, so the mean over the losses of
    the ranks would be another loss. The scores of other ranks carry no gradients. The gradients of
    this rank's scores are multiplied by the number of ranks, because Lightning averages them.
    """

    def __init__(self, loss: nn.Module, ranks: Ranks) -> None:
        super().__init__()
        self.loss = loss
        self.ranks = ranks

    def forward(self, scores: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the loss of all ranks from the scores and labels of this rank.

        Args:
            scores: (B, K, X, Y[, Z]), or a list of them for deep supervision.
            labels: (B, X, Y[, Z]) target indices.
        """
        heads = [scores] if isinstance(scores, Tensor) else list(scores)
        all_heads = [self._gather(head.float()) for head in heads]
        # int32 is smaller than the int64 of labels, and large enough for their indices.
        all_labels = torch.cat(self.ranks.gather(labels.int())).long()
        all_scores = all_heads[0] if isinstance(scores, Tensor) else all_heads
        result: Tensor = self.loss(all_scores, all_labels)
        return result

    def _gather(self, scores: Tensor) -> Tensor:
        parts = self.ranks.gather(scores)
        if scores.requires_grad:
            count = self.ranks.count
            scores.register_hook(lambda grad: grad * count)  # type: ignore[no-untyped-call]
        parts[self.ranks.number] = scores
        return torch.cat(parts)
