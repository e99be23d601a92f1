"""Trainings of the study: levels of pruning, and the controls beside them. No torch.

Level 0 is the dense network, and level n the ticket after n rounds of iterative magnitude pruning
with rewinding (Frankle et al., arXiv 1912.05671). The controls of a level have as many weights in
each layer as its ticket:

random      other weights of each layer are kept, chosen at random; rewound as the ticket
reinit      the ticket's mask on newly initialized weights, trained from step 0
finetune    the ticket's mask on the trained weights of the level before, not rewound
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TICKET = "ticket"
CONTROLS = ("random", "reinit", "finetune")
KINDS = {
    TICKET: "ticket: pruned by magnitude and rewound",
    "random": "random weights of each layer, rewound",
    "reinit": "the ticket's mask, new initial weights",
    "finetune": "the ticket's mask, trained weights kept",
}
"""Kind of each training, with its name in figures and tables."""
CONTROLLED = (0.8, 0.5, 0.2)
"""Fractions of the weights whose nearest levels get controls, besides the last level."""


@dataclass(frozen=True)
class Training:
    """One training of the study."""

    norm: str
    seed: int
    kind: str
    """A key of KINDS."""
    level: int

    @property
    def name(self) -> str:
        """Folder of the training, below that of the study.

        >>> Training("group", 0, "ticket", 3).name
        'group/seed_0/level_03_ticket'
        """
        return f"{self.norm}/seed_{self.seed}/level_{self.level:02d}_{self.kind}"

    @property
    def parents(self) -> tuple[Training, ...]:
        """Trainings whose files this one needs, nearest first."""
        if self.level == 0:
            return ()
        dense, before = (self.ticket_of(level) for level in (0, self.level - 1))
        if self.kind == TICKET:
            return (before, dense)
        return (self.ticket_of(self.level), before, dense)

    def ticket_of(self, level: int) -> Training:
        """Return the ticket of a level with this norm and seed; level 0 is the dense network."""
        return Training(self.norm, self.seed, TICKET, level)


def trainings(
    norms: Sequence[str],
    seeds: Sequence[int],
    *,
    levels: int,
    controls: Sequence[str],
    control_levels: Sequence[int],
) -> Iterator[Training]:
    """Yield every training after those whose files it needs.

    All norms of a seed come before the next seed, so that a study that is stopped early still
    compares the norms. Within them the levels come one after the other, a level's controls after
    its ticket.
    """
    for seed in seeds:
        for level in range(levels + 1):
            for norm in norms:
                yield Training(norm, seed, TICKET, level)
                if level in control_levels:
                    yield from (Training(norm, seed, kind, level) for kind in controls)


def default_control_levels(fraction: float, levels: int) -> tuple[int, ...]:
    """Return the levels at which controls are trained: near 80, 50 and 20 % of the weights, and
    the last one.

    Nearness is that of the logarithm, as in a figure with a logarithmic axis.

    >>> default_control_levels(0.2, 11), default_control_levels(0.5, 4)
    ((1, 3, 7, 11), (1, 2, 4))
    """
    steps = (math.log(share) / math.log(1 - fraction) for share in CONTROLLED)
    nearest = (max(1, round(step)) for step in steps)
    return tuple(sorted({min(level, levels) for level in (*nearest, levels)} - {0}))
