"""Find labels that no patch of a training contains.

Patches are pure functions of their numbers, so they need not be counted during the training: the
result is the same before and after it, and nothing has to be stored for a resume.
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
    """Return the names of the labels that do not occur in the first ``count`` patches.

    Only the stored voxels of a label are compared with the boxes of the patches; rotation and
    scaling are ignored. The search ends as soon as every label has been found.
    """
    unseen = dict(enumerate(patches.rules.plan.targets, start=1))
    reachable = set().union(*(case.voxels for case in patches.cases))
    for number in range(count):
        if not unseen.keys() & reachable:
            break
        case, center, _ = patches.draw(*divmod(number, len(patches.cases)))
        patch = patches.rules.plan.patch
        for label in list(unseen):
            if _contains(case, label, center, patch):
                del unseen[label]
    return list(unseen.values())


def warn_of_labels_never_drawn(patches: PatchDataset, steps: int, patches_per_step: int) -> None:
    """Warn of labels that the patches of ``steps`` training steps do not contain."""
    if names := labels_never_drawn(patches, steps * patches_per_step):
        log.warning(
            "no training patch of %d steps shows %s: it cannot be learned. Train longer, or on"
            " cases that have it.",
            steps,
            ", ".join(names),
        )


def _contains(
    case: PreparedCase, label: int, center: NDArray[np.int64], patch: Sequence[int]
) -> bool:
    if label not in case.voxels:
        return False
    offsets = case.voxels[label] - (center - np.array(patch) // 2)
    return bool(((offsets >= 0) & (offsets < patch)).all(axis=1).any())
