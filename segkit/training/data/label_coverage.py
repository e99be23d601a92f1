"""Labels that no patch of a training shows.

Patches are pure functions of their numbers, so they are looked up, not counted: the answer is the same before and after
a training, and nothing has to survive a resume.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.preprocessing.case_store import PreparedCase
from segkit.training.data.patches import PatchDataset

log = logging.getLogger(__name__)


def labels_never_drawn(patches: PatchDataset, count: int) -> list[str]:
    """Names of the plan's labels of which none of the first ``count`` patches holds a kept voxel.

    Rotation and scaling are left out of account. Ends with the first patch after which no label is missing.
    """
    unseen = dict(enumerate(patches.rules.plan.targets, start=1))
    reachable = set().union(*(case.voxels for case in patches.cases))
    for number in range(count):
        if not unseen.keys() & reachable:
            break
        case, centre, _ = patches.draw(*divmod(number, len(patches.cases)))
        for label in [
            label for label in unseen if _shows(case, label, centre, patches.rules.plan.patch)
        ]:
            del unseen[label]
    return list(unseen.values())


def warn_of_labels_never_drawn(patches: PatchDataset, steps: int, patches_per_step: int) -> None:
    """Name the labels that the patches of ``steps`` steps do not show."""
    if names := labels_never_drawn(patches, steps * patches_per_step):
        log.warning(
            "no training patch of %d steps shows %s: it cannot be learned. Train longer, or on cases that have it.",
            steps,
            ", ".join(names),
        )


def _shows(case: PreparedCase, label: int, centre: NDArray[np.int64], patch: Sequence[int]) -> bool:
    if label not in case.voxels:
        return False
    offsets = case.voxels[label] - (centre - np.array(patch) // 2)
    return bool(((offsets >= 0) & (offsets < patch)).all(axis=1).any())
