"""Files of the study's trainings: their models and their masks.

Files of a training:

mask.safetensors    weights that are kept (not of a dense network)
start.safetensors   weights from which a control starts that is not rewound to the dense network's
run/                its run folder, without checkpoints once it is finished
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from segkit.bundle.bundle import Bundle, read_bundle
from segkit.networks.mask_file import MASK, read_mask
from segkit.networks.masks import dense_masks
from segkit.studies.tickets.levels import Training

RUN, START = "run", "start.safetensors"
Masks = dict[str, Tensor]


@dataclass(frozen=True)
class TicketFiles:
    """Models and masks of the finished trainings of a study in ``folder``."""

    folder: Path

    def of(self, training: Training) -> Path:
        """Return the folder of a training."""
        return self.folder / training.name

    def model(self, training: Training) -> Bundle:
        """Return the model of a finished training; its weights are the averaged ones.

        Raises:
            InputError: it was not trained, or its files are damaged.
        """
        return read_bundle(self.of(training) / RUN)

    def network(self, training: Training) -> nn.Module:
        """Return the network of a finished training, in evaluation mode on the CPU."""
        return self.model(training).networks()[0]

    def masks(self, training: Training) -> Masks:
        """Return the masks of a training, which keep everything in a dense network."""
        if training.level == 0:
            return dense_masks(self.network(training))
        return read_mask(self.of(training) / MASK).masks


def state_of(model: Bundle) -> dict[str, Tensor]:
    """Return the tensors of a model by name."""
    return model.state(model.folds[0])
