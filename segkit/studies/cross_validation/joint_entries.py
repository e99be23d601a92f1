"""Entries of bundle.json that the ensemble of a cross-validation takes over from its folds."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segkit.bundle.bundle import Bundle
from segkit.bundle.overlap_dice import joint_overlap_dice
from segkit.bundle.precision_agreement import joint_agreement
from segkit.bundle.trained_on import joint_trained_on
from segkit.quality.arrangement_entry import joint_arrangement
from segkit.quality.calibration import joint_calibration
from segkit.studies.cross_validation.expected_dice import pooled_expected_dice

log = logging.getLogger(__name__)


def joint_entries(bundles: Sequence[Bundle], run_dirs: Sequence[Path]) -> dict[str, Any]:
    """Return entries of bundle.json that combine what the trainings of the folds have measured.

    Args:
        bundles: the model of each fold.
        run_dirs: folder of the run of each fold.

    Raises:
        InputError: examples of a run that cannot be read.
    """
    cards = [bundle.card for bundle in bundles]
    expected = pooled_expected_dice(run_dirs)
    if not expected:
        study = run_dirs[0].parent
        log.info(
            "no expected Dice for new scans: the folds have measured too few cases; to measure "
            "more: %s",
            shlex.join(["segkit", "calibrate", str(study)]),
        )
    return {
        **joint_agreement(cards),
        **joint_overlap_dice(cards),
        **expected,
        **joint_calibration(cards),
        **joint_arrangement(cards),
        **joint_trained_on(cards),
    }
